#include "registry.h"

#include "3rdparty/civetweb/civetweb.h"

prometheus::Registry::~Registry() = default;
const char *prometheus::Registry::text() const { return CIVETWEB_TEXT; }
