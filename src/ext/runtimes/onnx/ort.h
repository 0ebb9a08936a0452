// ONNX Runtime's C++ interface without its static initialisation: the library is opened when the first model loads.
#pragma once

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#undef ORT_API_MANUAL_INIT
