#include "xxhash.h"

unsigned long long XXH64(const void *data, unsigned long size, unsigned long long seed) {
  const unsigned char *bytes = data;
  for (unsigned long i = 0; i < size; i++) seed = seed * 31 + bytes[i];
  return seed;
}
