namespace prometheus {
struct Registry {
  virtual ~Registry();
  virtual const char *text() const;
};
}  // namespace prometheus
