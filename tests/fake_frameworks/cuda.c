/* Two devices: a GPU, and a slice of one. Only those named in FAKE_CUDA_CONTEXTS ("0", "01") have a context. */
#include <stdlib.h>
#include <string.h>
#ifndef INITIALIZED
#define INITIALIZED 1
#endif
#define DEVICES 2
int cuInit(unsigned flags) { return flags || !INITIALIZED; }
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
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    switch (attribute) { /* of an H200 */
    case 16: *value = 132; return 0;
    case 39: *value = 2048; return 0;
    case 106: *value = 32; return 0;
    case 82: *value = 65536; return 0;
    case 81: *value = 233472; return 0;
    case 111: *value = 1024; return 0;
    case 75: *value = 9; return 0;
    default: return 1;
    }
}
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    const char *contexts = getenv("FAKE_CUDA_CONTEXTS");
    *flags = 0;
    *active = contexts && strchr(contexts, '0' + device);
    return 0;
}
