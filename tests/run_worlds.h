/*
 * What becomes of a place where all was well: each world is a change of what is
 * wanted, or of what is there, and runs until all is as wanted again.
 */
#ifndef APILB_TESTS_RUN_WORLDS_H
#define APILB_TESTS_RUN_WORLDS_H

#include "tests/run_place.h"

struct world {
	const char *name;
	void (*change)(struct place *place);
	unsigned flags; /* as of place_begin */
};
enum { WORLDS = 26 };
extern const struct world worlds[WORLDS];

/* Brings a place to where the change of the world begins, and makes it. */
void world_enter(struct place *place, const struct world *world);
/* Of one that serves all the time. */
void expect_no_outage(const struct place *place, const struct world *world, const char *when);

/* Changes by themselves. */
void change_servers(struct place *place);
void change_image(struct place *place);
void change_image_and_servers(struct place *place);
void change_image_to_be_pulled(struct place *place);
void container_removed(struct place *place);
void never_made(struct place *place);
void container_stopped(struct place *place);
void container_paused(struct place *place);
/* Its directory was deleted, and the engine has made another one: what it goes on with leads nowhere. */
void paused_without_socket(struct place *place);
void file_edited(struct place *place);
struct fake_container *place_rename(struct place *place, const char *name);

#endif
