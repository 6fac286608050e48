unsigned long long XXH64(const void *data, unsigned long size, unsigned long long seed);
