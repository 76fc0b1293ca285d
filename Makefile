# SPDX-License-Identifier: MIT
# The front door. `make help` says what there is; CMake does the work, scripts/ has the rest.
BUILD  := build
PREFIX ?= /usr/local
DIR    ?= /usr/include

.PHONY: all help configure demo check doc bench bench-peers soak install clean

all: configure
	cmake --build $(BUILD)

help:
	@echo 'make                 build library, examples, tests and benchmarks into build/'
	@echo 'make demo [DIR=…]    MD5 of every file below DIR ($(DIR)), checked by md5sum'
	@echo 'make check           every configuration, every test; logs in build/log'
	@echo 'make doc             the reference of cadre.h, by Doxygen, into build/doc/html'
	@echo 'make bench           compare with the peers that are installed'
	@echo 'make bench-peers     install the peers, then compare'
	@echo 'make soak            long loads'
	@echo 'make install         PREFIX=… ($(PREFIX)) DESTDIR=…'
	@echo 'make clean           remove build/'
	@echo 'Missing Debian packages are installed when needed, if you may do that; otherwise you are told what to type.'

configure:
	@scripts/install-deps build
	@[ -f $(BUILD)/build.ninja ] || cmake --preset release

demo: configure
	@cmake --build $(BUILD) --target md5all
	@scripts/demo $(BUILD) '$(DIR)'

check:
	@scripts/install-deps build check
	@scripts/install-deps cross || echo "Going on without the cross tools."
	@scripts/check

doc: configure
	@scripts/install-deps doc
	@cmake --build $(BUILD) --target doc

bench: configure
	@BUILD=$(BUILD) scripts/bench

bench-peers:
	@scripts/install-deps bench-peers
	@$(MAKE) --no-print-directory bench

soak: all
	ctest --test-dir $(BUILD) -C soak -L soak --output-on-failure --no-tests=error

install: configure
	cmake --build $(BUILD) --target cadre cadre_static
	DESTDIR='$(DESTDIR)' cmake --install $(BUILD) --prefix '$(abspath $(PREFIX))'
	@[ -n '$(DESTDIR)' ] || [ "$$(id -u)" -ne 0 ] || ldconfig

clean:
	rm -rf $(BUILD)
