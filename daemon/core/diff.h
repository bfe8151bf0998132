/*
 * The difference between two short texts as a unified diff (diff(1), -u).
 */
#ifndef APILB_CORE_DIFF_H
#define APILB_CORE_DIFF_H

/* NULL when they are equal. Texts of more than some thousand lines are shown as wholly replaced. The caller
 * frees. */
char *diff_unified(const char *from, const char *to, const char *from_name, const char *to_name);

#endif
