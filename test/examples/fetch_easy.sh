#!/bin/bash
# SPDX-License-Identifier: MIT
# fetch_easy keeps what both programs promise.
. "$(dirname "$0")/fetch.bash"
