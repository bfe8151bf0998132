/*
 * The first look at a host after a start. The store may be wrong: an older
 * copy, new, another apilbd's, or damaged by a full disk. So before anything is
 * changed because of a record, we look which version the host has. A version
 * that is there and serves changes only when it is its turn (core/rollout.h).
 * Pure.
 */
#ifndef APILB_CORE_FIRST_LOOK_H
#define APILB_CORE_FIRST_LOOK_H

#include <stdbool.h>

#include "daemon/core/plan/observed.h"
#include "daemon/core/wanted.h"

enum first_look {
	LOOK_NONE,  /* nobody has looked, or needed to */
	LOOK_KEEP,  /* the version in force stays in force: the host has it, or nothing that serves */
	LOOK_ADOPT, /* the host has the next revision already */
	LOOK_LEAVE, /* the host has another version of ours, which serves: that stays until its turn */
};

/*
 * in_force: as recorded; without a record, what the spec wants. next: the next revision; NULL:
 * none. under_way: according to the record, in_force was being brought to the host, so another
 * version there is expected.
 */
enum first_look first_look(const struct wanted *in_force, const struct wanted *next, bool under_way,
			   const struct observed_instance *observed);

#endif
