/* A temporary directory for a test, gone again after it. */
#ifndef APILB_TESTS_TEMP_H
#define APILB_TESTS_TEMP_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

extern char temp_dir[64];

void temp_make(void);
/* Also of what a test mounted at mnt. */
void temp_remove(void);

/* temp_dir/name; the caller frees. */
char *temp_path(const char *name);

void write_file(const char *path, const void *text, size_t len);
void write_text(const char *path, const char *text);

#endif
