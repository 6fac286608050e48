//! Stands in for Dynamo's bindings: says how it was built.
use pyo3::{PyModuleDef, PyModule_AddStringConstant, PyModule_Create2};
use std::os::raw::c_void;
use std::ptr::null_mut;

const PROFILE: &[u8] = if cfg!(debug_assertions) { b"debug\0" } else { b"release\0" };
const TEXT: &[u8] = b"wanted\0";
static mut MODULE: PyModuleDef = PyModuleDef {
    refcnt: 1, kind: null_mut(), init: null_mut(), index: 0, copy: null_mut(),
    name: b"_core\0".as_ptr().cast(), doc: null_mut(), size: -1, methods: null_mut(),
    slots: null_mut(), traverse: null_mut(), clear: null_mut(), free: null_mut(),
};

/// What Python calls.
///
/// # Safety
/// Only for Python, once.
#[no_mangle]
pub unsafe extern "C" fn PyInit__core() -> *mut c_void {
    let module = PyModule_Create2(std::ptr::addr_of_mut!(MODULE), 1013);
    for (name, value) in [(&b"PROFILE\0"[..], PROFILE), (&b"TEXT\0"[..], TEXT)] {
        PyModule_AddStringConstant(module, name.as_ptr().cast(), value.as_ptr().cast());
    }
    module
}
