# forq for C: the libraries, the header, what pkg-config, CMake and man need to find them.
#
#   make                       builds all of it in target/c; needs cargo, a C compiler, python3 (for the manual)
#   make install PREFIX=/usr/local DESTDIR=
#   make uninstall PREFIX=/usr/local DESTDIR=
#   make check                 compiles the C tests and examples against both libraries, and runs them
#   make html                  the same manual as web pages, in target/c/html; needs doxygen
#   make clean
#
# The libraries are those without Rust's std: they need libc and nothing else.

PREFIX ?= /usr/local
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR ?= $(PREFIX)/lib
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=

CARGO ?= cargo
CC ?= cc
PYTHON ?= python3
INSTALL ?= install
CFLAGS ?= -std=c11 -Wall -Wextra -Wpedantic -Werror -O2

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# What programs ask the loader for. From 1.0 on it changes when programs must be compiled anew; before, compile anew for each 0.x.
SONAME := libforq.so.$(firstword $(subst ., ,$(VERSION)))
SHARED := libforq.so.$(VERSION)

BUILD := target/c
STATIC_BUILT := $(BUILD)/release/libforq.a
SHARED_BUILT := $(BUILD)/release/libforq.so
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock

all: $(STATIC_BUILT) $(BUILD)/man/man3/forq.3

# One run makes both. cargo does not touch what is fresh: make wants to see that it looked.
$(STATIC_BUILT): $(SOURCES) Makefile
	$(CARGO) clib --target-dir $(BUILD) --no-default-features -- --cfg forq_panic_handler -C link-arg=-Wl,-soname,$(SONAME)
	ln -sf libforq.so $(BUILD)/release/$(SONAME)
	touch $(STATIC_BUILT) $(SHARED_BUILT)

$(BUILD)/man/man3/forq.3: include/forq.h docs/manual.py
	rm -rf $(BUILD)/man
	$(PYTHON) docs/manual.py include/forq.h $(BUILD)/man

fill = sed -e 's|@PREFIX@|$(PREFIX)|g; s|@INCLUDEDIR@|$(INCLUDEDIR)|g; s|@LIBDIR@|$(LIBDIR)|g; s|@VERSION@|$(VERSION)|g; s|@SHARED@|$(SHARED)|g; s|@SONAME@|$(SONAME)|g'

install: all
	$(INSTALL) -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(LIBDIR)/cmake/forq $(DESTDIR)$(MANDIR)/man3
	$(INSTALL) -m 644 include/forq.h include/forq.hpp $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 644 $(STATIC_BUILT) $(DESTDIR)$(LIBDIR)/libforq.a
	$(INSTALL) -m 755 $(SHARED_BUILT) $(DESTDIR)$(LIBDIR)/$(SHARED)
	ln -sf $(SHARED) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libforq.so
	$(fill) packaging/forq.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/forq.pc
	$(fill) packaging/forq-config.cmake.in > $(DESTDIR)$(LIBDIR)/cmake/forq/forq-config.cmake
	$(fill) packaging/forq-config-version.cmake.in > $(DESTDIR)$(LIBDIR)/cmake/forq/forq-config-version.cmake
	$(INSTALL) -m 644 $(BUILD)/man/man3/forq*.3 $(DESTDIR)$(MANDIR)/man3

uninstall:
	rm -f $(DESTDIR)$(INCLUDEDIR)/forq.h $(DESTDIR)$(INCLUDEDIR)/forq.hpp
	rm -f $(DESTDIR)$(LIBDIR)/libforq.a $(DESTDIR)$(LIBDIR)/libforq.so $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/$(SHARED)
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/forq.pc
	rm -rf $(DESTDIR)$(LIBDIR)/cmake/forq
	rm -f $(DESTDIR)$(MANDIR)/man3/forq.3 $(DESTDIR)$(MANDIR)/man3/forq_*.3

# The C tests with the shared library, each for itself; then the examples with the static one.
TESTS := $(basename $(notdir $(wildcard tests/c/*.c)))

check: all $(addprefix check-,$(TESTS))
	$(MAKE) -C c-examples check FORQ_LIB=../$(STATIC_BUILT) BUILD=../$(BUILD)/examples

check-%: $(BUILD)/tests/%
	$<

$(BUILD)/tests/%: tests/c/%.c tests/c/check.h include/forq.h $(STATIC_BUILT)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Iinclude $< $(SHARED_BUILT) -pthread -Wl,-rpath,$(abspath $(BUILD))/release -o $@

html: include/forq.h docs/Doxyfile docs/manual.py
	rm -rf $(BUILD)/html
	mkdir -p $(BUILD)
	doxygen docs/Doxyfile

clean:
	rm -rf $(BUILD)

.PHONY: all install uninstall check html clean
.SECONDARY:
