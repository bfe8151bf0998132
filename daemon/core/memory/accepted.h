/*
 * Which configs the HAProxy of an image has accepted: the last ACCEPTED_MAX
 * pairs of image ID and config hash, as text for the store.
 */
#ifndef APILB_CORE_ACCEPTED_H
#define APILB_CORE_ACCEPTED_H

#include <stdbool.h>

/* Whether the pair is in the list. list: as accepted_add made it; NULL: empty. */
bool accepted_has(const char *list, const char *image_id, const char *config_sha256);
/*
 * Puts the pair first in *list, which is the caller's and is replaced; drops the oldest beyond
 * ACCEPTED_MAX.
 */
void accepted_add(char **list, const char *image_id, const char *config_sha256);

/* Enough for an operator who goes back and forth between versions. */
#define ACCEPTED_MAX 8

#endif
