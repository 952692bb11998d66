/* Which callers the library was built for. */
#include "forms.h"

extern "C" int surefit_loops_version() { return VERSION; }
