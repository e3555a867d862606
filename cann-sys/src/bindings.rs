// Made from include/acl.h by tests/bindings.rs.

pub const ACL_PKG_VERSION_MAX_SIZE: u32 = 128;
pub const ACL_PKG_VERSION_PARTS_MAX_SIZE: u32 = 64;
pub const ACL_PROF_ACL_API: u32 = 1;
pub const ACL_PROF_TASK_TIME: u32 = 2;
pub const ACL_PROF_AICORE_METRICS: u32 = 4;
pub type aclError = ::core::ffi::c_int;
pub type aclnnStatus = i32;
pub type aclrtContext = *mut ::core::ffi::c_void;
pub type aclrtStream = *mut ::core::ffi::c_void;
pub type aclrtEvent = *mut ::core::ffi::c_void;
pub type aclrtBinHandle = *mut ::core::ffi::c_void;
pub type aclrtFuncHandle = *mut ::core::ffi::c_void;
pub type aclrtArgsHandle = *mut ::core::ffi::c_void;
pub type aclrtParamHandle = *mut ::core::ffi::c_void;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclOpExecutor {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclTensor {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclScalar {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclIntArray {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclTensorList {
    _unused: [u8; 0],
}
pub const ACL_DT_UNDEFINED: aclDataType = -1;
pub const ACL_FLOAT: aclDataType = 0;
pub const ACL_FLOAT16: aclDataType = 1;
pub const ACL_INT8: aclDataType = 2;
pub const ACL_INT32: aclDataType = 3;
pub const ACL_UINT8: aclDataType = 4;
pub const ACL_INT16: aclDataType = 6;
pub const ACL_UINT16: aclDataType = 7;
pub const ACL_UINT32: aclDataType = 8;
pub const ACL_INT64: aclDataType = 9;
pub const ACL_UINT64: aclDataType = 10;
pub const ACL_DOUBLE: aclDataType = 11;
pub const ACL_BOOL: aclDataType = 12;
pub const ACL_BF16: aclDataType = 27;
pub type aclDataType = ::core::ffi::c_int;
pub const ACL_FORMAT_UNDEFINED: aclFormat = -1;
pub const ACL_FORMAT_NCHW: aclFormat = 0;
pub const ACL_FORMAT_NHWC: aclFormat = 1;
pub const ACL_FORMAT_ND: aclFormat = 2;
pub const ACL_FORMAT_NC1HWC0: aclFormat = 3;
pub const ACL_FORMAT_NDHWC: aclFormat = 27;
pub const ACL_FORMAT_FRACTAL_NZ: aclFormat = 29;
pub const ACL_FORMAT_NCDHW: aclFormat = 30;
pub const ACL_FORMAT_NDC1HWC0: aclFormat = 32;
pub const ACL_FORMAT_NCL: aclFormat = 47;
pub type aclFormat = ::core::ffi::c_int;
pub const ACL_DEVICE_INFO_UNDEFINED: aclDeviceInfo = -1;
pub const ACL_DEVICE_INFO_AI_CORE_NUM: aclDeviceInfo = 0;
pub const ACL_DEVICE_INFO_VECTOR_CORE_NUM: aclDeviceInfo = 1;
pub const ACL_DEVICE_INFO_L2_SIZE: aclDeviceInfo = 2;
pub type aclDeviceInfo = ::core::ffi::c_int;
pub const ACL_MEMCPY_HOST_TO_HOST: aclrtMemcpyKind = 0;
pub const ACL_MEMCPY_HOST_TO_DEVICE: aclrtMemcpyKind = 1;
pub const ACL_MEMCPY_DEVICE_TO_HOST: aclrtMemcpyKind = 2;
pub const ACL_MEMCPY_DEVICE_TO_DEVICE: aclrtMemcpyKind = 3;
pub type aclrtMemcpyKind = ::core::ffi::c_uint;
pub const ACL_MEM_MALLOC_HUGE_FIRST: aclrtMemMallocPolicy = 0;
pub const ACL_MEM_MALLOC_HUGE_ONLY: aclrtMemMallocPolicy = 1;
pub const ACL_MEM_MALLOC_NORMAL_ONLY: aclrtMemMallocPolicy = 2;
pub type aclrtMemMallocPolicy = ::core::ffi::c_uint;
pub const ACL_DDR_MEM: aclrtMemAttr = 0;
pub const ACL_HBM_MEM: aclrtMemAttr = 1;
pub type aclrtMemAttr = ::core::ffi::c_uint;
pub const ACL_EVENT_RECORDED_STATUS_NOT_READY: aclrtEventRecordedStatus = 0;
pub const ACL_EVENT_RECORDED_STATUS_COMPLETE: aclrtEventRecordedStatus = 1;
pub type aclrtEventRecordedStatus = ::core::ffi::c_uint;
pub const ACL_PKG_NAME_CANN: aclCANNPackageName = 0;
pub const ACL_PKG_NAME_RUNTIME: aclCANNPackageName = 1;
pub const ACL_PKG_NAME_COMPILER: aclCANNPackageName = 2;
pub const ACL_PKG_NAME_HCCL: aclCANNPackageName = 3;
pub const ACL_PKG_NAME_TOOLKIT: aclCANNPackageName = 4;
pub const ACL_PKG_NAME_OPP: aclCANNPackageName = 5;
pub const ACL_PKG_NAME_OPP_KERNEL: aclCANNPackageName = 6;
pub const ACL_PKG_NAME_DRIVER: aclCANNPackageName = 7;
pub type aclCANNPackageName = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclCANNPackageVersion {
    pub version: [::core::ffi::c_char; 128usize],
    pub majorVersion: [::core::ffi::c_char; 64usize],
    pub minorVersion: [::core::ffi::c_char; 64usize],
    pub releaseVersion: [::core::ffi::c_char; 64usize],
    pub patchVersion: [::core::ffi::c_char; 64usize],
    pub reserved: [::core::ffi::c_char; 128usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of aclCANNPackageVersion",
    ][::core::mem::size_of::<aclCANNPackageVersion>() - 512usize];
    [
        "Alignment of aclCANNPackageVersion",
    ][::core::mem::align_of::<aclCANNPackageVersion>() - 1usize];
    [
        "Offset of field: aclCANNPackageVersion::version",
    ][::core::mem::offset_of!(aclCANNPackageVersion, version) - 0usize];
    [
        "Offset of field: aclCANNPackageVersion::majorVersion",
    ][::core::mem::offset_of!(aclCANNPackageVersion, majorVersion) - 128usize];
    [
        "Offset of field: aclCANNPackageVersion::minorVersion",
    ][::core::mem::offset_of!(aclCANNPackageVersion, minorVersion) - 192usize];
    [
        "Offset of field: aclCANNPackageVersion::releaseVersion",
    ][::core::mem::offset_of!(aclCANNPackageVersion, releaseVersion) - 256usize];
    [
        "Offset of field: aclCANNPackageVersion::patchVersion",
    ][::core::mem::offset_of!(aclCANNPackageVersion, patchVersion) - 320usize];
    [
        "Offset of field: aclCANNPackageVersion::reserved",
    ][::core::mem::offset_of!(aclCANNPackageVersion, reserved) - 384usize];
};
pub const ACL_RT_BINARY_LOAD_OPT_LAZY_LOAD: aclrtBinaryLoadOptionType = 1;
pub const ACL_RT_BINARY_LOAD_OPT_LAZY_MAGIC: aclrtBinaryLoadOptionType = 2;
pub type aclrtBinaryLoadOptionType = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Copy, Clone)]
pub union aclrtBinaryLoadOptionValue {
    pub isLazyLoad: u32,
    pub magic: u32,
    pub rsv: [u32; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of aclrtBinaryLoadOptionValue",
    ][::core::mem::size_of::<aclrtBinaryLoadOptionValue>() - 16usize];
    [
        "Alignment of aclrtBinaryLoadOptionValue",
    ][::core::mem::align_of::<aclrtBinaryLoadOptionValue>() - 4usize];
    [
        "Offset of field: aclrtBinaryLoadOptionValue::isLazyLoad",
    ][::core::mem::offset_of!(aclrtBinaryLoadOptionValue, isLazyLoad) - 0usize];
    [
        "Offset of field: aclrtBinaryLoadOptionValue::magic",
    ][::core::mem::offset_of!(aclrtBinaryLoadOptionValue, magic) - 0usize];
    [
        "Offset of field: aclrtBinaryLoadOptionValue::rsv",
    ][::core::mem::offset_of!(aclrtBinaryLoadOptionValue, rsv) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct aclrtBinaryLoadOption {
    pub type_: aclrtBinaryLoadOptionType,
    pub value: aclrtBinaryLoadOptionValue,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of aclrtBinaryLoadOption",
    ][::core::mem::size_of::<aclrtBinaryLoadOption>() - 20usize];
    [
        "Alignment of aclrtBinaryLoadOption",
    ][::core::mem::align_of::<aclrtBinaryLoadOption>() - 4usize];
    [
        "Offset of field: aclrtBinaryLoadOption::type_",
    ][::core::mem::offset_of!(aclrtBinaryLoadOption, type_) - 0usize];
    [
        "Offset of field: aclrtBinaryLoadOption::value",
    ][::core::mem::offset_of!(aclrtBinaryLoadOption, value) - 4usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclrtBinaryLoadOptions {
    pub options: *mut aclrtBinaryLoadOption,
    pub numOpt: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of aclrtBinaryLoadOptions",
    ][::core::mem::size_of::<aclrtBinaryLoadOptions>() - 16usize];
    [
        "Alignment of aclrtBinaryLoadOptions",
    ][::core::mem::align_of::<aclrtBinaryLoadOptions>() - 8usize];
    [
        "Offset of field: aclrtBinaryLoadOptions::options",
    ][::core::mem::offset_of!(aclrtBinaryLoadOptions, options) - 0usize];
    [
        "Offset of field: aclrtBinaryLoadOptions::numOpt",
    ][::core::mem::offset_of!(aclrtBinaryLoadOptions, numOpt) - 8usize];
};
pub const ACL_RT_LAUNCH_KERNEL_ATTR_SCHEM_MODE: aclrtLaunchKernelAttrId = 1;
pub type aclrtLaunchKernelAttrId = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Copy, Clone)]
pub union aclrtLaunchKernelAttrValue {
    pub schemMode: u8,
    pub localMemorySize: u32,
    pub rsv: [u32; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of aclrtLaunchKernelAttrValue",
    ][::core::mem::size_of::<aclrtLaunchKernelAttrValue>() - 16usize];
    [
        "Alignment of aclrtLaunchKernelAttrValue",
    ][::core::mem::align_of::<aclrtLaunchKernelAttrValue>() - 4usize];
    [
        "Offset of field: aclrtLaunchKernelAttrValue::schemMode",
    ][::core::mem::offset_of!(aclrtLaunchKernelAttrValue, schemMode) - 0usize];
    [
        "Offset of field: aclrtLaunchKernelAttrValue::localMemorySize",
    ][::core::mem::offset_of!(aclrtLaunchKernelAttrValue, localMemorySize) - 0usize];
    [
        "Offset of field: aclrtLaunchKernelAttrValue::rsv",
    ][::core::mem::offset_of!(aclrtLaunchKernelAttrValue, rsv) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct aclrtLaunchKernelAttr {
    pub id: aclrtLaunchKernelAttrId,
    pub value: aclrtLaunchKernelAttrValue,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of aclrtLaunchKernelAttr",
    ][::core::mem::size_of::<aclrtLaunchKernelAttr>() - 20usize];
    [
        "Alignment of aclrtLaunchKernelAttr",
    ][::core::mem::align_of::<aclrtLaunchKernelAttr>() - 4usize];
    [
        "Offset of field: aclrtLaunchKernelAttr::id",
    ][::core::mem::offset_of!(aclrtLaunchKernelAttr, id) - 0usize];
    [
        "Offset of field: aclrtLaunchKernelAttr::value",
    ][::core::mem::offset_of!(aclrtLaunchKernelAttr, value) - 4usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclrtLaunchKernelCfg {
    pub attrs: *mut aclrtLaunchKernelAttr,
    pub numAttrs: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of aclrtLaunchKernelCfg",
    ][::core::mem::size_of::<aclrtLaunchKernelCfg>() - 16usize];
    [
        "Alignment of aclrtLaunchKernelCfg",
    ][::core::mem::align_of::<aclrtLaunchKernelCfg>() - 8usize];
    [
        "Offset of field: aclrtLaunchKernelCfg::attrs",
    ][::core::mem::offset_of!(aclrtLaunchKernelCfg, attrs) - 0usize];
    [
        "Offset of field: aclrtLaunchKernelCfg::numAttrs",
    ][::core::mem::offset_of!(aclrtLaunchKernelCfg, numAttrs) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclprofConfig {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aclprofAicoreEvents {
    _unused: [u8; 0],
}
pub const ACL_AICORE_PIPE_UTILIZATION: aclprofAicoreMetrics = 1;
pub const ACL_AICORE_NONE: aclprofAicoreMetrics = 255;
pub type aclprofAicoreMetrics = ::core::ffi::c_uint;
