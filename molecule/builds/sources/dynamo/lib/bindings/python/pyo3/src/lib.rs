//! Stands in for the crate of this name, of which there is none without a network: the few lines
//! of Python's stable interface that a module needs.
use std::os::raw::{c_char, c_int, c_void};

#[repr(C)]
pub struct PyModuleDef {
    pub refcnt: isize,
    pub kind: *mut c_void,
    pub init: *mut c_void,
    pub index: isize,
    pub copy: *mut c_void,
    pub name: *const c_char,
    pub doc: *const c_char,
    pub size: isize,
    pub methods: *mut c_void,
    pub slots: *mut c_void,
    pub traverse: *mut c_void,
    pub clear: *mut c_void,
    pub free: *mut c_void,
}

extern "C" {
    pub fn PyModule_Create2(definition: *mut PyModuleDef, version: c_int) -> *mut c_void;
    pub fn PyModule_AddStringConstant(
        module: *mut c_void,
        name: *const c_char,
        value: *const c_char,
    ) -> c_int;
}
