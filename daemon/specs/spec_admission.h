/*
 * Which new versions get in beside the others: the rules across files. Each spec
 * in force has claimed its names, files and addresses on hosts (spec_fleet.h). A
 * candidate fits if it claims nothing that another file's spec has claimed. A
 * version in force is never displaced.
 */
#ifndef APILB_SPEC_ADMISSION_H
#define APILB_SPEC_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <uthash.h>

#include "daemon/core/spec/spec_fleet.h"

/* A candidate, and what comes of it. */
struct admission {
	const struct spec *in_force;  /* of the same file; NULL: there is none */
	const struct spec *candidate; /* valid by itself */
	struct spec_errors *errors;   /* of the candidate; empty if it gets in */
	bool in;
	/* For spec_admit. */
	struct admission *next;
	UT_hash_handle hh; /* by candidate */
};

/* Lets in all that fit together, and as many as possible of the others. claims: of all versions in force;
 * afterwards of those that are to be. */
void spec_admit(struct spec_claims *claims, struct admission *all, size_t n);

#endif
