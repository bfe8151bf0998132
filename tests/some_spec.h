/* Specs and what is wanted, from YAML that is right. */
#ifndef APILB_TESTS_SOME_SPEC_H
#define APILB_TESTS_SOME_SPEC_H

#include "daemon/core/wanted.h"

/* One server and one balancer. */
#define COMMON "servers: ['10.0.0.1:6443']\napiLoadBalancers: [{}]\n"

struct spec *parse_spec(const char *yaml);
/* Of its first instance. */
struct wanted *parse_wanted(const char *yaml);

#endif
