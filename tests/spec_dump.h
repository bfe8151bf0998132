/* A spec as text that a person can read and a test can compare. Secrets are shown as their length. */
#ifndef APILB_TESTS_SPEC_DUMP_H
#define APILB_TESTS_SPEC_DUMP_H

#include <stdio.h>

#include "daemon/core/spec/spec.h"

void spec_dump(FILE *out, const struct spec *spec);

#endif
