#include "traffic.h"

namespace twin {

Traffic::Traffic(const Chip &chip, uint32_t cube_cores, uint32_t vector_cores)
    : chip_(&chip), cube_cores_(cube_cores), vector_cores_(vector_cores)
{
}

Cost Traffic::move(bool, Pipe, double, const Burst &burst, bool writes)
{
    const uint64_t bytes = burst.bytes * burst.rows;
    (writes ? totals_.written : totals_.read) += bytes;
    return {bytes / 32.0, 300};
}

} // namespace twin
