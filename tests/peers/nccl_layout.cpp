// What of NCCL's header ends up in compiled code, as text: cuda.sh compiles this with the real header and with the
// trainer's declarations of it, and the two must say the same.
#include <nccl.h>

#include <cstdio>
#include <cstring>

#define NUMBER(name) printf(#name " %lld\n", static_cast<long long>(name))
#define MEMBER(name) printf(#name " at %zu of %zu\n", offsetof(ncclConfig_t, name), sizeof(ncclConfig_t::name))

int main() {
  NUMBER(NCCL_VERSION_CODE);
  NUMBER(NCCL_VERSION(2, 8, 3));
  NUMBER(NCCL_VERSION(2, 27, 0));
  NUMBER(NCCL_SPLIT_NOCOLOR);
  NUMBER(sizeof(ncclUniqueId));
  NUMBER(sizeof(ncclConfig_t));
  MEMBER(size);
  MEMBER(magic);
  MEMBER(version);
  MEMBER(blocking);
  MEMBER(cgaClusterSize);
  MEMBER(minCTAs);
  MEMBER(maxCTAs);
  MEMBER(netName);
  MEMBER(splitShare);
  MEMBER(trafficClass);
  MEMBER(commName);
  MEMBER(collnetEnable);
  MEMBER(CTAPolicy);
  MEMBER(shrinkShare);
  MEMBER(nvlsCTAs);
  MEMBER(nChannelsPerNetPeer);
  MEMBER(nvlinkCentricSched);
  // Byte by byte, so padding must be zero in both.
  alignas(8) static ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  unsigned char bytes[sizeof config];
  memcpy(bytes, &config, sizeof config);
  for (unsigned char byte : bytes) printf("%02x", byte);
  printf("\n");
  for (ncclResult_t result : {ncclSuccess, ncclUnhandledCudaError, ncclSystemError, ncclInternalError,
                              ncclInvalidArgument, ncclInvalidUsage, ncclRemoteError, ncclInProgress, ncclNumResults})
    NUMBER(result);
  for (ncclRedOp_t op : {ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg}) NUMBER(op);
  for (ncclDataType_t type : {ncclInt8, ncclUint8, ncclInt32, ncclUint32, ncclInt64, ncclUint64, ncclHalf, ncclFloat,
                              ncclDouble, ncclBfloat16, ncclFloat8e4m3, ncclFloat8e5m2})
    NUMBER(type);
  NUMBER(sizeof(ncclResult_t));
  NUMBER(sizeof(ncclRedOp_t));
  NUMBER(sizeof(ncclDataType_t));
}
