//! Raw bindings to the part of Huawei's CANN that Ascendit uses. No logic: types, constants, and
//! [`Functions`], a table of function pointers that is filled at run time.
//!
//! `include/acl.h` is our own header, written from Huawei's documentation; `bindings.rs` and `table.rs`
//! are made from it by `tests/bindings.rs` and are committed, so that building needs no libclang.
//! Where a CANN toolkit is installed, the same test holds the header against the toolkit's own.
//!
//! ```text
//! UPDATE_BINDINGS=1 cargo test -p ascendit-cann-sys --test bindings    # after a change of acl.h
//! ```

#[rustfmt::skip]
#[allow(non_camel_case_types, non_snake_case, non_upper_case_globals, clippy::all, clippy::pedantic)]
mod bindings;
#[rustfmt::skip]
#[allow(non_snake_case, clippy::type_complexity)]
mod table;

pub use bindings::*;
pub use table::Functions;

use std::ffi::{CStr, c_void};
use std::fmt;
use std::ptr::NonNull;

/// A library of CANN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Library {
    /// `libascendcl`: devices, memory, streams, kernels.
    Ascendcl,
    /// `libmsprofiler`: profiling.
    Msprofiler,
    /// `libnnopbase`: tensors and executors of operators.
    Nnopbase,
    /// `libopapi`: operators.
    Opapi,
}

impl Library {
    /// All of them, each after those it needs.
    pub const ALL: [Self; 4] = [
        Self::Ascendcl,
        Self::Msprofiler,
        Self::Nnopbase,
        Self::Opapi,
    ];

    /// The file's name.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Ascendcl => "libascendcl.so",
            Self::Msprofiler => "libmsprofiler.so",
            Self::Nnopbase => "libnnopbase.so",
            Self::Opapi => "libopapi.so",
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}

/// How many missing functions a message names; a library that lacks more is another library.
const NAMED: usize = 8;

/// Functions that the engine cannot do without and that the libraries do not export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<(Library, &'static str)>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.len().min(NAMED);
        for (i, (library, name)) in self.0[..shown].iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name} in {library}")?;
        }
        match self.0.len() - shown {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl std::error::Error for Missing {}

/// Looks up the functions of a table.
struct Loader<'a> {
    find: &'a mut dyn FnMut(Library, &'static CStr) -> Option<NonNull<c_void>>,
    missing: Vec<(Library, &'static str)>,
}

impl<'a> Loader<'a> {
    fn new(find: &'a mut dyn FnMut(Library, &'static CStr) -> Option<NonNull<c_void>>) -> Self {
        Self {
            find,
            missing: vec![],
        }
    }

    /// A function as the pointer type `F` of a field, which the table takes from the header.
    fn optional<F: Copy>(&mut self, library: Library, name: &'static CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<NonNull<c_void>>()) };
        let at = (self.find)(library, name)?;
        // SAFETY: `F` is a function pointer, which has the size and the validity of a pointer that is
        // not null; that its type is the function's is what the caller of `Functions::load` promises.
        Some(unsafe { std::mem::transmute_copy(&at) })
    }

    /// The same for one that must be there. Where it is not, what is returned must not be called,
    /// and `finish` does not give it out.
    fn required<F: Copy>(&mut self, library: Library, name: &'static CStr) -> F {
        self.optional(library, name).unwrap_or_else(|| {
            self.missing
                .push((library, name.to_str().expect("names are ASCII")));
            let nowhere = NonNull::<c_void>::dangling();
            // SAFETY: as above, but for the promise: it is never called.
            unsafe { std::mem::transmute_copy(&nowhere) }
        })
    }

    fn finish(self, functions: Functions) -> Result<Functions, Missing> {
        match self.missing.is_empty() {
            true => Ok(functions),
            false => Err(Missing(self.missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_functions_that_are_missing_come_in_one_error() {
        let mut asked = 0;
        let mut find = |_, name: &'static CStr| {
            asked += 1;
            let absent = [c"aclInit", c"aclnnMatmul", c"aclrtStreamAbort"].contains(&name);
            (!absent).then(NonNull::dangling)
        };
        // SAFETY: nothing in the table is called.
        let error = unsafe { Functions::load(&mut find) }
            .err()
            .expect("two are missing");
        assert_eq!(
            error.to_string(),
            "aclInit in libascendcl.so, aclnnMatmul in libopapi.so"
        );
        assert!(asked > 100);
    }
}
