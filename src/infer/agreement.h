// Whether two versions gave the same answer to the same inputs.
//
// Whole numbers, booleans and texts agree when they are equal. Floating-point numbers agree when they differ by no more
// than `tolerance` of the larger one; numbers far smaller than the largest of their tensor (below a hundredth) are
// measured as if they were that large, since what differs there is noise. NaN agrees with NaN alone, an infinity with
// the same one. Scores of classes (along the last dimension) agree when the same class is the highest, or when the two
// are as good as tied; by CompareConfig::As::detected a floating-point tensor counts as such when each of its rows
// consists of two or more shares that add up to 1.
#pragma once

#include "infer/request.h"
#include "infer/traffic_config.h"

namespace penstock::infer {

// False also when outputs, datatypes or shapes differ. Bounded by the size of the answers.
bool agree(const Response& one, const Response& other, const CompareConfig& how);

}  // namespace penstock::infer
