//! Scalars, lists of integers and lists of tensors, as operators take them.

use std::ffi::c_void;
use std::sync::Arc;

use cann_sys::{
    ACL_DOUBLE, ACL_FLOAT, ACL_INT64, aclDataType, aclIntArray, aclScalar, aclTensorList,
};

use super::memory::nothing;
use super::stream::Keep;
use super::{Context, ElementType, Tensor};
use crate::Result;

/// A number.
pub(super) struct Scalar {
    context: Context,
    raw: *const aclScalar,
}

/// A list of integers.
pub(super) struct Ints {
    context: Context,
    raw: *const aclIntArray,
}

/// A list of tensors.
pub(super) struct Tensors {
    context: Context,
    raw: *const aclTensorList,
    _tensors: Vec<Keep>,
}

// SAFETY: CANN only reads these descriptors, from any thread; each is destroyed by its last holder.
unsafe impl Send for Scalar {}
// SAFETY: as above.
unsafe impl Sync for Scalar {}
// SAFETY: as above.
unsafe impl Send for Ints {}
// SAFETY: as above.
unsafe impl Sync for Ints {}
// SAFETY: as above.
unsafe impl Send for Tensors {}
// SAFETY: as above.
unsafe impl Sync for Tensors {}

impl Scalar {
    /// A number for an operator on elements of a type: an `f32` for floats, else an `i64`.
    pub(super) fn new(context: &Context, value: f64, of: ElementType) -> Result<Arc<Self>> {
        match of.is_float() {
            true => Self::typed(context, value as f32, ACL_FLOAT),
            false => Self::typed(context, value as i64, ACL_INT64),
        }
    }

    /// A number of type `f64`.
    pub(super) fn double(context: &Context, value: f64) -> Result<Arc<Self>> {
        Self::typed(context, value, ACL_DOUBLE)
    }

    /// `T` is the type that `dtype` names.
    fn typed<T>(context: &Context, mut value: T, dtype: aclDataType) -> Result<Arc<Self>> {
        let functions = context.bind()?;
        let at = (&raw mut value).cast::<c_void>();
        // SAFETY: the pointer is to a value of the type that is named, which is copied.
        let raw = unsafe { (functions.aclCreateScalar)(at, dtype) };
        if raw.is_null() {
            return Err(nothing(context, "aclCreateScalar"));
        }
        Ok(Arc::new(Self {
            context: context.clone(),
            raw,
        }))
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn raw(&self) -> *const aclScalar {
        self.raw
    }
}

impl Drop for Scalar {
    fn drop(&mut self) {
        // SAFETY: made by this function's counterpart and destroyed once; executors hold it.
        self.context.give_back("aclDestroyScalar", |f| unsafe {
            (f.aclDestroyScalar)(self.raw)
        });
    }
}

impl Ints {
    pub(super) fn new(context: &Context, values: &[i64]) -> Result<Arc<Self>> {
        let functions = context.bind()?;
        // SAFETY: the pointer is to as many values as are passed with it, which are copied.
        let raw = unsafe { (functions.aclCreateIntArray)(values.as_ptr(), values.len() as u64) };
        if raw.is_null() {
            return Err(nothing(context, "aclCreateIntArray"));
        }
        Ok(Arc::new(Self {
            context: context.clone(),
            raw,
        }))
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn raw(&self) -> *const aclIntArray {
        self.raw
    }
}

impl Drop for Ints {
    fn drop(&mut self) {
        // SAFETY: made by this function's counterpart and destroyed once; executors hold it.
        self.context.give_back("aclDestroyIntArray", |f| unsafe {
            (f.aclDestroyIntArray)(self.raw)
        });
    }
}

impl Tensors {
    /// A list of views of the same memory. A list owns its descriptors and destroys them with itself,
    /// so that it gets ones of its own.
    pub(super) fn new(context: &Context, tensors: &[&Tensor]) -> Result<Arc<Self>> {
        let functions = context.bind()?;
        let mut descriptors = Vec::with_capacity(tensors.len());
        let give_up = |descriptors: &[_], error| {
            for &descriptor in descriptors {
                // SAFETY: made above, in no list, and destroyed once.
                context.give_back("aclDestroyTensor", |f| unsafe {
                    (f.aclDestroyTensor)(descriptor)
                });
            }
            Err(error)
        };
        for tensor in tensors {
            match tensor.describe_again() {
                Ok(descriptor) => descriptors.push(descriptor),
                Err(error) => return give_up(&descriptors, error),
            }
        }
        // SAFETY: the pointer is to as many descriptors as are passed with it, which now are the list's.
        let raw = unsafe {
            (functions.aclCreateTensorList)(descriptors.as_ptr(), descriptors.len() as u64)
        };
        if raw.is_null() {
            return give_up(&descriptors, nothing(context, "aclCreateTensorList"));
        }
        Ok(Arc::new(Self {
            context: context.clone(),
            raw,
            _tensors: tensors.iter().map(|tensor| tensor.keep()).collect(),
        }))
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn raw(&self) -> *const aclTensorList {
        self.raw
    }
}

impl Drop for Tensors {
    fn drop(&mut self) {
        // SAFETY: made by this function's counterpart and destroyed once; executors hold it.
        self.context.give_back("aclDestroyTensorList", |f| unsafe {
            (f.aclDestroyTensorList)(self.raw)
        });
    }
}
