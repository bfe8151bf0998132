/*
 * The first look at a host after a start. What was recorded may be wrong: the
 * store may be an older copy, new, another apilbd's, or have met a full disk. So
 * the host is asked which version it has, before anything is changed for a
 * record's sake. What is there, and serves, is changed only when it is its turn
 * (core/rollout.h). Pure.
 */
#ifndef APILB_CORE_FIRST_LOOK_H
#define APILB_CORE_FIRST_LOOK_H

#include <stdbool.h>

#include "daemon/core/plan/observed.h"
#include "daemon/core/wanted.h"

enum first_look {
	LOOK_NONE,  /* nobody has looked, or nobody had to */
	LOOK_KEEP,  /* what is in force stays in force: the host has it, or nothing that serves */
	LOOK_ADOPT, /* the host has what comes next already */
	LOOK_LEAVE, /* the host has another version of ours, which serves: it stays until its turn */
};

/*
 * in_force: as recorded, or, without a record, what the spec wants. next: what
 * the spec wants instead; NULL: the same. under_way: the record says that what is
 * in force is just being brought to the host, so another version there is no surprise.
 */
enum first_look first_look(const struct wanted *in_force, const struct wanted *next, bool under_way,
			   const struct observed_instance *observed);

#endif
