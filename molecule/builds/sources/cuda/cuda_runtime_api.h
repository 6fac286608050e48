#ifdef __cplusplus
extern "C" {
#endif
int cudaRuntimeGetVersion(int *version);
int cuFileDriverOpen(void);
int cuInit(unsigned flags);
#ifdef __cplusplus
}
#endif
