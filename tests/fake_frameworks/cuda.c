/* Two devices: a GPU, and a slice of one. Only those named in FAKE_CUDA_CONTEXTS ("0", "01") have a context. */
#include <stdlib.h>
#include <string.h>
#ifndef INITIALIZED
#define INITIALIZED 1
#endif
#define DEVICES 2
int cuDeviceGetCount(int *count) {
    if (!INITIALIZED) return 3;
    *count = DEVICES;
    return 0;
}
int cuDeviceGet(int *device, int ordinal) {
    if (!INITIALIZED) return 3;
    if (ordinal >= DEVICES) return 101;
    *device = ordinal;
    return 0;
}
int cuDeviceGetUuid(unsigned char *uuid, int device) { memset(uuid, 0x10 + device, 16); return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { memset(uuid, device ? 0xab : 0x10, 16); return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    const char *contexts = getenv("FAKE_CUDA_CONTEXTS");
    *flags = 0;
    *active = contexts && strchr(contexts, '0' + device);
    return 0;
}
