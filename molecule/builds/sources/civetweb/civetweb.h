#define CIVETWEB_TEXT "civetweb as recorded"
