/// Stands in for the header of the same name of CANN's toolkit: kernels of AscendC (CANN 8.1, dav-c220) compile against it
/// on the host, and run, are checked and are timed there. Signatures, limits and meanings: the AscendC API reference.
#pragma once

#include "api/fixpipe.h"
#include "api/image.h"
#include "api/mmad.h"
#include "api/numbers.h"
#include "api/sync.h"
#include "api/tensor.h"
#include "api/words.h"
