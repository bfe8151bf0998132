#include "ctl/ctl.h"

int exit_code(enum err_kind kind)
{
	static const int codes[ERR_KINDS] = {
		[ERR_NONE] = EXIT_DONE,
		[ERR_SPEC] = EXIT_USAGE,
		[ERR_UNREACHABLE] = EXIT_NO_DAEMON,
		[ERR_TRANSIENT] = EXIT_NOT_CONVERGED,
		[ERR_PERMANENT] = EXIT_NOT_CONVERGED,
		[ERR_CONFLICT] = EXIT_NOT_CONVERGED,
		[ERR_CANCELLED] = EXIT_NOT_CONVERGED,
	};

	return codes[kind];
}
