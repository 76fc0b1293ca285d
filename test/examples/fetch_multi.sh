#!/bin/bash
# SPDX-License-Identifier: MIT
# fetch_multi keeps what both programs promise.
. "$(dirname "$0")/fetch.bash"
