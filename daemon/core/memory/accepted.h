/*
 * Which configs an image's own HAProxy has accepted: pairs of image ID and
 * config hash, the last few, as text for the store.
 */
#ifndef APILB_CORE_ACCEPTED_H
#define APILB_CORE_ACCEPTED_H

#include <stdbool.h>

/* list: as accepted_add made it, or NULL. */
bool accepted_has(const char *list, const char *image_id, const char *config_sha256);
/* Puts the pair at the front of *list (the caller's, freed and replaced); the oldest beyond ACCEPTED_MAX go.
 */
void accepted_add(char **list, const char *image_id, const char *config_sha256);

/* Enough for an operator who goes back and forth between versions. */
#define ACCEPTED_MAX 8

#endif
