/*
 * The difference between two short texts as a unified diff (diff(1), -u).
 */
#ifndef APILB_CORE_DIFF_H
#define APILB_CORE_DIFF_H

/*
 * Returns NULL if the texts are equal. If one has more than 2000 lines, all lines are shown as
 * replaced. The caller frees.
 */
char *diff_unified(const char *from, const char *to, const char *from_name, const char *to_name);

#endif
