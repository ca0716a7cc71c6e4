# iza -- `make help` lists what there is.
CFLAGS_COMMON = -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wvla -Wstrict-prototypes -Wmissing-prototypes \
                -Iengine -isystem /usr/include/lua5.4 -pthread -MMD -MP -g
ifdef SAN
BUILD  = build/san
CFLAGS = $(CFLAGS_COMMON) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
BUILD  = build/release
CFLAGS = $(CFLAGS_COMMON) -O2 -flto=auto
endif
LIBDIR  = /usr/lib/$(shell $(CC) -print-multiarch)
LDLIBS  = -Wl,--whole-archive $(LIBDIR)/liblua5.4.a -Wl,--no-whole-archive -Wl,-E \
          $(LIBDIR)/liblua5.4-cjson.a $(LIBDIR)/libevent_core.a -lm -ldl -pthread

SRC  = $(sort $(shell find engine -name '*.c' ! -name main.c))
OBJ  = $(SRC:%.c=$(BUILD)/%.o)
CTEST = $(sort $(wildcard tests/c/test_*.c))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c $< -o $@

$(BUILD)/tests/c/%: $(BUILD)/tests/c/%.o $(OBJ)
	$(CC) $(CFLAGS) $^ $(LDLIBS) -lcmocka -o $@

ctest: $(CTEST:%.c=$(BUILD)/%)
	@for t in $^; do $$t || exit 1; done
.PHONY: ctest
.SECONDARY:
-include $(OBJ:.o=.d)
