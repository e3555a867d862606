/// Stands in for the header of the same name of CANN's toolkit: kernels of AscendC (CANN 8.1, dav-c220) compile against it
/// on the host, and run, are checked and are timed there. Signatures, limits and meanings: the AscendC API reference.
#pragma once

#include "api/atomic.h"
#include "api/broadcast.h"
#include "api/cast.h"
#include "api/copy.h"
#include "api/fixpipe.h"
#include "api/image.h"
#include "api/mask.h"
#include "api/mmad.h"
#include "api/move.h"
#include "api/numbers.h"
#include "api/pipe.h"
#include "api/queue.h"
#include "api/reduce.h"
#include "api/sync.h"
#include "api/tensor.h"
#include "api/vector_binary.h"
#include "api/vector_scalar.h"
#include "api/vector_unary.h"
#include "api/words.h"
