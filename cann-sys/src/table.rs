// Made from include/acl.h by tests/bindings.rs.

use super::Loader;
use super::bindings::*;
use super::{Library, Missing};
use core::ffi::{CStr, c_void};
use core::ptr::NonNull;
/// CANN's functions. Those that some versions do not have are optional.
#[derive(Clone, Copy)]
pub struct Functions {
    /// In `libascendcl`.
    pub aclInit: unsafe extern "C" fn(
        configPath: *const ::core::ffi::c_char,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclFinalize: unsafe extern "C" fn() -> aclError,
    /// In `libascendcl`.
    pub aclsysGetCANNVersion: Option<
        unsafe extern "C" fn(
            name: aclCANNPackageName,
            version: *mut aclCANNPackageVersion,
        ) -> aclError,
    >,
    /// In `libascendcl`.
    pub aclGetRecentErrMsg: unsafe extern "C" fn() -> *const ::core::ffi::c_char,
    /// In `libascendcl`.
    pub aclrtGetSocName: unsafe extern "C" fn() -> *const ::core::ffi::c_char,
    /// In `libascendcl`.
    pub aclGetDeviceCapability: unsafe extern "C" fn(
        deviceId: u32,
        deviceInfo: aclDeviceInfo,
        value: *mut i64,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtGetDeviceCount: unsafe extern "C" fn(count: *mut u32) -> aclError,
    /// In `libascendcl`.
    pub aclrtSetDevice: unsafe extern "C" fn(deviceId: i32) -> aclError,
    /// In `libascendcl`.
    pub aclrtResetDevice: unsafe extern "C" fn(deviceId: i32) -> aclError,
    /// In `libascendcl`.
    pub aclrtGetMemInfo: unsafe extern "C" fn(
        attr: aclrtMemAttr,
        free: *mut usize,
        total: *mut usize,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtCreateContext: unsafe extern "C" fn(
        context: *mut aclrtContext,
        deviceId: i32,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtDestroyContext: unsafe extern "C" fn(context: aclrtContext) -> aclError,
    /// In `libascendcl`.
    pub aclrtSetCurrentContext: unsafe extern "C" fn(context: aclrtContext) -> aclError,
    /// In `libascendcl`.
    pub aclrtMalloc: unsafe extern "C" fn(
        devPtr: *mut *mut ::core::ffi::c_void,
        size: usize,
        policy: aclrtMemMallocPolicy,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtFree: unsafe extern "C" fn(devPtr: *mut ::core::ffi::c_void) -> aclError,
    /// In `libascendcl`.
    pub aclrtMallocHost: unsafe extern "C" fn(
        hostPtr: *mut *mut ::core::ffi::c_void,
        size: usize,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtFreeHost: unsafe extern "C" fn(
        hostPtr: *mut ::core::ffi::c_void,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtMemcpyAsync: unsafe extern "C" fn(
        dst: *mut ::core::ffi::c_void,
        destMax: usize,
        src: *const ::core::ffi::c_void,
        count: usize,
        kind: aclrtMemcpyKind,
        stream: aclrtStream,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtMemsetAsync: unsafe extern "C" fn(
        devPtr: *mut ::core::ffi::c_void,
        maxCount: usize,
        value: i32,
        count: usize,
        stream: aclrtStream,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtCreateStream: unsafe extern "C" fn(stream: *mut aclrtStream) -> aclError,
    /// In `libascendcl`.
    pub aclrtDestroyStream: unsafe extern "C" fn(stream: aclrtStream) -> aclError,
    /// In `libascendcl`.
    pub aclrtDestroyStreamForce: Option<
        unsafe extern "C" fn(stream: aclrtStream) -> aclError,
    >,
    /// In `libascendcl`.
    pub aclrtSynchronizeStream: unsafe extern "C" fn(stream: aclrtStream) -> aclError,
    /// In `libascendcl`.
    pub aclrtSynchronizeStreamWithTimeout: unsafe extern "C" fn(
        stream: aclrtStream,
        timeout: i32,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtStreamAbort: Option<unsafe extern "C" fn(stream: aclrtStream) -> aclError>,
    /// In `libascendcl`.
    pub aclrtStreamWaitEvent: unsafe extern "C" fn(
        stream: aclrtStream,
        event: aclrtEvent,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtCreateEventWithFlag: unsafe extern "C" fn(
        event: *mut aclrtEvent,
        flag: u32,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtDestroyEvent: unsafe extern "C" fn(event: aclrtEvent) -> aclError,
    /// In `libascendcl`.
    pub aclrtRecordEvent: unsafe extern "C" fn(
        event: aclrtEvent,
        stream: aclrtStream,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtQueryEventStatus: unsafe extern "C" fn(
        event: aclrtEvent,
        status: *mut aclrtEventRecordedStatus,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtSynchronizeEvent: unsafe extern "C" fn(event: aclrtEvent) -> aclError,
    /// In `libascendcl`.
    pub aclrtEventElapsedTime: unsafe extern "C" fn(
        ms: *mut f32,
        startEvent: aclrtEvent,
        endEvent: aclrtEvent,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtBinaryLoadFromFile: unsafe extern "C" fn(
        binPath: *const ::core::ffi::c_char,
        options: *mut aclrtBinaryLoadOptions,
        binHandle: *mut aclrtBinHandle,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtBinaryUnLoad: unsafe extern "C" fn(binHandle: aclrtBinHandle) -> aclError,
    /// In `libascendcl`.
    pub aclrtBinaryGetFunction: unsafe extern "C" fn(
        binHandle: aclrtBinHandle,
        kernelName: *const ::core::ffi::c_char,
        funcHandle: *mut aclrtFuncHandle,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtKernelArgsInit: unsafe extern "C" fn(
        funcHandle: aclrtFuncHandle,
        argsHandle: *mut aclrtArgsHandle,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtKernelArgsAppend: unsafe extern "C" fn(
        argsHandle: aclrtArgsHandle,
        param: *mut ::core::ffi::c_void,
        paramSize: usize,
        paramHandle: *mut aclrtParamHandle,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtKernelArgsFinalize: unsafe extern "C" fn(
        argsHandle: aclrtArgsHandle,
    ) -> aclError,
    /// In `libascendcl`.
    pub aclrtLaunchKernelWithConfig: unsafe extern "C" fn(
        funcHandle: aclrtFuncHandle,
        blockDim: u32,
        stream: aclrtStream,
        cfg: *mut aclrtLaunchKernelCfg,
        argsHandle: aclrtArgsHandle,
        reserve: *mut ::core::ffi::c_void,
    ) -> aclError,
    /// In `libmsprofiler`.
    pub aclprofInit: Option<
        unsafe extern "C" fn(
            profilerResultPath: *const ::core::ffi::c_char,
            length: usize,
        ) -> aclError,
    >,
    /// In `libmsprofiler`.
    pub aclprofFinalize: Option<unsafe extern "C" fn() -> aclError>,
    /// In `libmsprofiler`.
    pub aclprofStart: Option<
        unsafe extern "C" fn(profilerConfig: *const aclprofConfig) -> aclError,
    >,
    /// In `libmsprofiler`.
    pub aclprofStop: Option<
        unsafe extern "C" fn(profilerConfig: *const aclprofConfig) -> aclError,
    >,
    /// In `libmsprofiler`.
    pub aclprofCreateConfig: Option<
        unsafe extern "C" fn(
            deviceIdList: *mut u32,
            deviceNums: u32,
            aicoreMetrics: aclprofAicoreMetrics,
            aicoreEvents: *const aclprofAicoreEvents,
            dataTypeConfig: u64,
        ) -> *mut aclprofConfig,
    >,
    /// In `libmsprofiler`.
    pub aclprofDestroyConfig: Option<
        unsafe extern "C" fn(profilerConfig: *const aclprofConfig) -> aclError,
    >,
    /// In `libnnopbase`.
    pub aclCreateTensor: unsafe extern "C" fn(
        viewDims: *const i64,
        viewDimsNum: u64,
        dataType: aclDataType,
        stride: *const i64,
        offset: i64,
        format: aclFormat,
        storageDims: *const i64,
        storageDimsNum: u64,
        tensorData: *mut ::core::ffi::c_void,
    ) -> *mut aclTensor,
    /// In `libnnopbase`.
    pub aclCreateScalar: unsafe extern "C" fn(
        value: *mut ::core::ffi::c_void,
        dataType: aclDataType,
    ) -> *mut aclScalar,
    /// In `libnnopbase`.
    pub aclCreateIntArray: unsafe extern "C" fn(
        value: *const i64,
        size: u64,
    ) -> *mut aclIntArray,
    /// In `libnnopbase`.
    pub aclCreateTensorList: unsafe extern "C" fn(
        value: *const *const aclTensor,
        size: u64,
    ) -> *mut aclTensorList,
    /// In `libnnopbase`.
    pub aclDestroyTensor: unsafe extern "C" fn(tensor: *const aclTensor) -> aclnnStatus,
    /// In `libnnopbase`.
    pub aclDestroyScalar: unsafe extern "C" fn(scalar: *const aclScalar) -> aclnnStatus,
    /// In `libnnopbase`.
    pub aclDestroyIntArray: unsafe extern "C" fn(
        array: *const aclIntArray,
    ) -> aclnnStatus,
    /// In `libnnopbase`.
    pub aclDestroyTensorList: unsafe extern "C" fn(
        array: *const aclTensorList,
    ) -> aclnnStatus,
    /// In `libnnopbase`.
    pub aclSetAclOpExecutorRepeatable: unsafe extern "C" fn(
        executor: *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libnnopbase`.
    pub aclDestroyAclOpExecutor: unsafe extern "C" fn(
        executor: *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAddGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        other: *const aclTensor,
        alpha: *const aclScalar,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAdd: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSubGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        other: *const aclTensor,
        alpha: *const aclScalar,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSub: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMulGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        other: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMul: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnDivGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        other: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnDiv: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAddsGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        other: *const aclScalar,
        alpha: *const aclScalar,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAdds: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMulsGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        other: *const aclScalar,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMuls: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAddcmulGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        tensor1: *const aclTensor,
        tensor2: *const aclTensor,
        value: *const aclScalar,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAddcmul: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnCastGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        dtype: aclDataType,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnCast: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnNegGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnNeg: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnExpGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnExp: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSqrtGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSqrt: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSinGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSin: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnCosGetWorkspaceSize: unsafe extern "C" fn(
        input: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnCos: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnTanhGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnTanh: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSigmoidGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSigmoid: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSiluGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSilu: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnReluGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *const aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnRelu: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnGeluGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnGelu: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnGeluV2GetWorkspaceSize: unsafe extern "C" fn(
        x: *const aclTensor,
        approximate: i64,
        y: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnGeluV2: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMatmulGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        mat2: *const aclTensor,
        out: *mut aclTensor,
        cubeMathType: i8,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMatmul: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAddmmGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        mat1: *const aclTensor,
        mat2: *const aclTensor,
        beta: *const aclScalar,
        alpha: *const aclScalar,
        out: *mut aclTensor,
        cubeMathType: i8,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAddmm: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnBatchMatMulGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        mat2: *const aclTensor,
        out: *mut aclTensor,
        cubeMathType: i8,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnBatchMatMul: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnConvolutionGetWorkspaceSize: unsafe extern "C" fn(
        input: *const aclTensor,
        weight: *const aclTensor,
        bias: *const aclTensor,
        stride: *const aclIntArray,
        padding: *const aclIntArray,
        dilation: *const aclIntArray,
        transposed: bool,
        outputPadding: *const aclIntArray,
        groups: i64,
        output: *mut aclTensor,
        cubeMathType: i8,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnConvolution: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnFlashAttentionScoreGetWorkspaceSize: unsafe extern "C" fn(
        query: *const aclTensor,
        key: *const aclTensor,
        value: *const aclTensor,
        realShiftOptional: *const aclTensor,
        dropMaskOptional: *const aclTensor,
        paddingMaskOptional: *const aclTensor,
        attenMaskOptional: *const aclTensor,
        prefixOptional: *const aclIntArray,
        scaleValue: f64,
        keepProb: f64,
        preTokens: i64,
        nextTokens: i64,
        headNum: i64,
        inputLayout: *mut ::core::ffi::c_char,
        innerPrecise: i64,
        sparseMode: i64,
        softmaxMaxOut: *const aclTensor,
        softmaxSumOut: *const aclTensor,
        softmaxOutOut: *const aclTensor,
        attentionOutOut: *const aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnFlashAttentionScore: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnPromptFlashAttentionV3GetWorkspaceSize: Option<
        unsafe extern "C" fn(
            query: *const aclTensor,
            key: *const aclTensor,
            value: *const aclTensor,
            pseShift: *const aclTensor,
            attenMask: *const aclTensor,
            actualSeqLengths: *const aclIntArray,
            actualSeqLengthsKv: *const aclIntArray,
            deqScale1: *const aclTensor,
            quantScale1: *const aclTensor,
            deqScale2: *const aclTensor,
            quantScale2: *const aclTensor,
            quantOffset2: *const aclTensor,
            numHeads: i64,
            scaleValue: f64,
            preTokens: i64,
            nextTokens: i64,
            inputLayout: *mut ::core::ffi::c_char,
            numKeyValueHeads: i64,
            sparseMode: i64,
            innerPrecise: i64,
            attentionOut: *const aclTensor,
            workspaceSize: *mut u64,
            executor: *mut *mut aclOpExecutor,
        ) -> aclnnStatus,
    >,
    /// In `libopapi`.
    pub aclnnPromptFlashAttentionV3: Option<
        unsafe extern "C" fn(
            workspace: *mut ::core::ffi::c_void,
            workspaceSize: u64,
            executor: *mut aclOpExecutor,
            stream: aclrtStream,
        ) -> aclnnStatus,
    >,
    /// In `libopapi`.
    pub aclnnSoftmaxGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        dim: i64,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnSoftmax: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnLayerNormGetWorkspaceSize: unsafe extern "C" fn(
        input: *const aclTensor,
        normalizedShape: *const aclIntArray,
        weightOptional: *const aclTensor,
        biasOptional: *const aclTensor,
        eps: f64,
        out: *mut aclTensor,
        meanOutOptional: *mut aclTensor,
        rstdOutOptional: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnLayerNorm: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnRmsNormGetWorkspaceSize: unsafe extern "C" fn(
        x: *const aclTensor,
        gamma: *const aclTensor,
        epsilon: f64,
        yOut: *const aclTensor,
        rstdOut: *const aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnRmsNorm: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnGroupNormGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        gamma: *const aclTensor,
        beta: *const aclTensor,
        N: i64,
        C: i64,
        HxW: i64,
        group: i64,
        eps: f64,
        out: *mut aclTensor,
        meanOut: *mut aclTensor,
        rstdOut: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnGroupNorm: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMeanGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        dim: *const aclIntArray,
        keepDim: bool,
        dtype: aclDataType,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnMean: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnReduceSumGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        dims: *const aclIntArray,
        keepDims: bool,
        dtype: aclDataType,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnReduceSum: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAmaxGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        dim: *const aclIntArray,
        keepDim: bool,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnAmax: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnPermuteGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        dims: *const aclIntArray,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnPermute: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnInplaceCopyGetWorkspaceSize: unsafe extern "C" fn(
        selfRef: *mut aclTensor,
        src: *const aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnInplaceCopy: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnCatGetWorkspaceSize: unsafe extern "C" fn(
        tensors: *const aclTensorList,
        dim: i64,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnCat: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnConstantPadNdGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        pad: *const aclIntArray,
        value: *const aclScalar,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnConstantPadNd: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnEmbeddingGetWorkspaceSize: unsafe extern "C" fn(
        weight: *const aclTensor,
        indices: *const aclTensor,
        out: *const aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnEmbedding: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnUpsampleNearest3dGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        outputSize: *const aclIntArray,
        scalesD: f64,
        scalesH: f64,
        scalesW: f64,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnUpsampleNearest3d: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnUpsampleTrilinear3dGetWorkspaceSize: unsafe extern "C" fn(
        self_: *const aclTensor,
        outputSize: *const aclIntArray,
        alignCorners: bool,
        scalesD: f64,
        scalesH: f64,
        scalesW: f64,
        out: *mut aclTensor,
        workspaceSize: *mut u64,
        executor: *mut *mut aclOpExecutor,
    ) -> aclnnStatus,
    /// In `libopapi`.
    pub aclnnUpsampleTrilinear3d: unsafe extern "C" fn(
        workspace: *mut ::core::ffi::c_void,
        workspaceSize: u64,
        executor: *mut aclOpExecutor,
        stream: aclrtStream,
    ) -> aclnnStatus,
}
impl Functions {
    /// Fills the table with what `find` finds.
    ///
    /// # Errors
    /// If functions are missing that are not optional, with all of their names.
    ///
    /// # Safety
    /// What `find` returns for a name must be CANN's function of that name, and must stay
    /// where it is as long as the table is used.
    pub unsafe fn load(
        find: &mut dyn FnMut(Library, &'static CStr) -> Option<NonNull<c_void>>,
    ) -> Result<Self, Missing> {
        let mut loader = Loader::new(find);
        let functions = Self {
            aclInit: loader.required(Library::Ascendcl, c"aclInit"),
            aclFinalize: loader.required(Library::Ascendcl, c"aclFinalize"),
            aclsysGetCANNVersion: loader
                .optional(Library::Ascendcl, c"aclsysGetCANNVersion"),
            aclGetRecentErrMsg: loader
                .required(Library::Ascendcl, c"aclGetRecentErrMsg"),
            aclrtGetSocName: loader.required(Library::Ascendcl, c"aclrtGetSocName"),
            aclGetDeviceCapability: loader
                .required(Library::Ascendcl, c"aclGetDeviceCapability"),
            aclrtGetDeviceCount: loader
                .required(Library::Ascendcl, c"aclrtGetDeviceCount"),
            aclrtSetDevice: loader.required(Library::Ascendcl, c"aclrtSetDevice"),
            aclrtResetDevice: loader.required(Library::Ascendcl, c"aclrtResetDevice"),
            aclrtGetMemInfo: loader.required(Library::Ascendcl, c"aclrtGetMemInfo"),
            aclrtCreateContext: loader
                .required(Library::Ascendcl, c"aclrtCreateContext"),
            aclrtDestroyContext: loader
                .required(Library::Ascendcl, c"aclrtDestroyContext"),
            aclrtSetCurrentContext: loader
                .required(Library::Ascendcl, c"aclrtSetCurrentContext"),
            aclrtMalloc: loader.required(Library::Ascendcl, c"aclrtMalloc"),
            aclrtFree: loader.required(Library::Ascendcl, c"aclrtFree"),
            aclrtMallocHost: loader.required(Library::Ascendcl, c"aclrtMallocHost"),
            aclrtFreeHost: loader.required(Library::Ascendcl, c"aclrtFreeHost"),
            aclrtMemcpyAsync: loader.required(Library::Ascendcl, c"aclrtMemcpyAsync"),
            aclrtMemsetAsync: loader.required(Library::Ascendcl, c"aclrtMemsetAsync"),
            aclrtCreateStream: loader.required(Library::Ascendcl, c"aclrtCreateStream"),
            aclrtDestroyStream: loader
                .required(Library::Ascendcl, c"aclrtDestroyStream"),
            aclrtDestroyStreamForce: loader
                .optional(Library::Ascendcl, c"aclrtDestroyStreamForce"),
            aclrtSynchronizeStream: loader
                .required(Library::Ascendcl, c"aclrtSynchronizeStream"),
            aclrtSynchronizeStreamWithTimeout: loader
                .required(Library::Ascendcl, c"aclrtSynchronizeStreamWithTimeout"),
            aclrtStreamAbort: loader.optional(Library::Ascendcl, c"aclrtStreamAbort"),
            aclrtStreamWaitEvent: loader
                .required(Library::Ascendcl, c"aclrtStreamWaitEvent"),
            aclrtCreateEventWithFlag: loader
                .required(Library::Ascendcl, c"aclrtCreateEventWithFlag"),
            aclrtDestroyEvent: loader.required(Library::Ascendcl, c"aclrtDestroyEvent"),
            aclrtRecordEvent: loader.required(Library::Ascendcl, c"aclrtRecordEvent"),
            aclrtQueryEventStatus: loader
                .required(Library::Ascendcl, c"aclrtQueryEventStatus"),
            aclrtSynchronizeEvent: loader
                .required(Library::Ascendcl, c"aclrtSynchronizeEvent"),
            aclrtEventElapsedTime: loader
                .required(Library::Ascendcl, c"aclrtEventElapsedTime"),
            aclrtBinaryLoadFromFile: loader
                .required(Library::Ascendcl, c"aclrtBinaryLoadFromFile"),
            aclrtBinaryUnLoad: loader.required(Library::Ascendcl, c"aclrtBinaryUnLoad"),
            aclrtBinaryGetFunction: loader
                .required(Library::Ascendcl, c"aclrtBinaryGetFunction"),
            aclrtKernelArgsInit: loader
                .required(Library::Ascendcl, c"aclrtKernelArgsInit"),
            aclrtKernelArgsAppend: loader
                .required(Library::Ascendcl, c"aclrtKernelArgsAppend"),
            aclrtKernelArgsFinalize: loader
                .required(Library::Ascendcl, c"aclrtKernelArgsFinalize"),
            aclrtLaunchKernelWithConfig: loader
                .required(Library::Ascendcl, c"aclrtLaunchKernelWithConfig"),
            aclprofInit: loader.optional(Library::Msprofiler, c"aclprofInit"),
            aclprofFinalize: loader.optional(Library::Msprofiler, c"aclprofFinalize"),
            aclprofStart: loader.optional(Library::Msprofiler, c"aclprofStart"),
            aclprofStop: loader.optional(Library::Msprofiler, c"aclprofStop"),
            aclprofCreateConfig: loader
                .optional(Library::Msprofiler, c"aclprofCreateConfig"),
            aclprofDestroyConfig: loader
                .optional(Library::Msprofiler, c"aclprofDestroyConfig"),
            aclCreateTensor: loader.required(Library::Nnopbase, c"aclCreateTensor"),
            aclCreateScalar: loader.required(Library::Nnopbase, c"aclCreateScalar"),
            aclCreateIntArray: loader.required(Library::Nnopbase, c"aclCreateIntArray"),
            aclCreateTensorList: loader
                .required(Library::Nnopbase, c"aclCreateTensorList"),
            aclDestroyTensor: loader.required(Library::Nnopbase, c"aclDestroyTensor"),
            aclDestroyScalar: loader.required(Library::Nnopbase, c"aclDestroyScalar"),
            aclDestroyIntArray: loader
                .required(Library::Nnopbase, c"aclDestroyIntArray"),
            aclDestroyTensorList: loader
                .required(Library::Nnopbase, c"aclDestroyTensorList"),
            aclSetAclOpExecutorRepeatable: loader
                .required(Library::Nnopbase, c"aclSetAclOpExecutorRepeatable"),
            aclDestroyAclOpExecutor: loader
                .required(Library::Nnopbase, c"aclDestroyAclOpExecutor"),
            aclnnAddGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnAddGetWorkspaceSize"),
            aclnnAdd: loader.required(Library::Opapi, c"aclnnAdd"),
            aclnnSubGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnSubGetWorkspaceSize"),
            aclnnSub: loader.required(Library::Opapi, c"aclnnSub"),
            aclnnMulGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnMulGetWorkspaceSize"),
            aclnnMul: loader.required(Library::Opapi, c"aclnnMul"),
            aclnnDivGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnDivGetWorkspaceSize"),
            aclnnDiv: loader.required(Library::Opapi, c"aclnnDiv"),
            aclnnAddsGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnAddsGetWorkspaceSize"),
            aclnnAdds: loader.required(Library::Opapi, c"aclnnAdds"),
            aclnnMulsGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnMulsGetWorkspaceSize"),
            aclnnMuls: loader.required(Library::Opapi, c"aclnnMuls"),
            aclnnAddcmulGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnAddcmulGetWorkspaceSize"),
            aclnnAddcmul: loader.required(Library::Opapi, c"aclnnAddcmul"),
            aclnnCastGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnCastGetWorkspaceSize"),
            aclnnCast: loader.required(Library::Opapi, c"aclnnCast"),
            aclnnNegGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnNegGetWorkspaceSize"),
            aclnnNeg: loader.required(Library::Opapi, c"aclnnNeg"),
            aclnnExpGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnExpGetWorkspaceSize"),
            aclnnExp: loader.required(Library::Opapi, c"aclnnExp"),
            aclnnSqrtGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnSqrtGetWorkspaceSize"),
            aclnnSqrt: loader.required(Library::Opapi, c"aclnnSqrt"),
            aclnnSinGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnSinGetWorkspaceSize"),
            aclnnSin: loader.required(Library::Opapi, c"aclnnSin"),
            aclnnCosGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnCosGetWorkspaceSize"),
            aclnnCos: loader.required(Library::Opapi, c"aclnnCos"),
            aclnnTanhGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnTanhGetWorkspaceSize"),
            aclnnTanh: loader.required(Library::Opapi, c"aclnnTanh"),
            aclnnSigmoidGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnSigmoidGetWorkspaceSize"),
            aclnnSigmoid: loader.required(Library::Opapi, c"aclnnSigmoid"),
            aclnnSiluGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnSiluGetWorkspaceSize"),
            aclnnSilu: loader.required(Library::Opapi, c"aclnnSilu"),
            aclnnReluGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnReluGetWorkspaceSize"),
            aclnnRelu: loader.required(Library::Opapi, c"aclnnRelu"),
            aclnnGeluGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnGeluGetWorkspaceSize"),
            aclnnGelu: loader.required(Library::Opapi, c"aclnnGelu"),
            aclnnGeluV2GetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnGeluV2GetWorkspaceSize"),
            aclnnGeluV2: loader.required(Library::Opapi, c"aclnnGeluV2"),
            aclnnMatmulGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnMatmulGetWorkspaceSize"),
            aclnnMatmul: loader.required(Library::Opapi, c"aclnnMatmul"),
            aclnnAddmmGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnAddmmGetWorkspaceSize"),
            aclnnAddmm: loader.required(Library::Opapi, c"aclnnAddmm"),
            aclnnBatchMatMulGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnBatchMatMulGetWorkspaceSize"),
            aclnnBatchMatMul: loader.required(Library::Opapi, c"aclnnBatchMatMul"),
            aclnnConvolutionGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnConvolutionGetWorkspaceSize"),
            aclnnConvolution: loader.required(Library::Opapi, c"aclnnConvolution"),
            aclnnFlashAttentionScoreGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnFlashAttentionScoreGetWorkspaceSize"),
            aclnnFlashAttentionScore: loader
                .required(Library::Opapi, c"aclnnFlashAttentionScore"),
            aclnnPromptFlashAttentionV3GetWorkspaceSize: loader
                .optional(
                    Library::Opapi,
                    c"aclnnPromptFlashAttentionV3GetWorkspaceSize",
                ),
            aclnnPromptFlashAttentionV3: loader
                .optional(Library::Opapi, c"aclnnPromptFlashAttentionV3"),
            aclnnSoftmaxGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnSoftmaxGetWorkspaceSize"),
            aclnnSoftmax: loader.required(Library::Opapi, c"aclnnSoftmax"),
            aclnnLayerNormGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnLayerNormGetWorkspaceSize"),
            aclnnLayerNorm: loader.required(Library::Opapi, c"aclnnLayerNorm"),
            aclnnRmsNormGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnRmsNormGetWorkspaceSize"),
            aclnnRmsNorm: loader.required(Library::Opapi, c"aclnnRmsNorm"),
            aclnnGroupNormGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnGroupNormGetWorkspaceSize"),
            aclnnGroupNorm: loader.required(Library::Opapi, c"aclnnGroupNorm"),
            aclnnMeanGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnMeanGetWorkspaceSize"),
            aclnnMean: loader.required(Library::Opapi, c"aclnnMean"),
            aclnnReduceSumGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnReduceSumGetWorkspaceSize"),
            aclnnReduceSum: loader.required(Library::Opapi, c"aclnnReduceSum"),
            aclnnAmaxGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnAmaxGetWorkspaceSize"),
            aclnnAmax: loader.required(Library::Opapi, c"aclnnAmax"),
            aclnnPermuteGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnPermuteGetWorkspaceSize"),
            aclnnPermute: loader.required(Library::Opapi, c"aclnnPermute"),
            aclnnInplaceCopyGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnInplaceCopyGetWorkspaceSize"),
            aclnnInplaceCopy: loader.required(Library::Opapi, c"aclnnInplaceCopy"),
            aclnnCatGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnCatGetWorkspaceSize"),
            aclnnCat: loader.required(Library::Opapi, c"aclnnCat"),
            aclnnConstantPadNdGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnConstantPadNdGetWorkspaceSize"),
            aclnnConstantPadNd: loader.required(Library::Opapi, c"aclnnConstantPadNd"),
            aclnnEmbeddingGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnEmbeddingGetWorkspaceSize"),
            aclnnEmbedding: loader.required(Library::Opapi, c"aclnnEmbedding"),
            aclnnUpsampleNearest3dGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnUpsampleNearest3dGetWorkspaceSize"),
            aclnnUpsampleNearest3d: loader
                .required(Library::Opapi, c"aclnnUpsampleNearest3d"),
            aclnnUpsampleTrilinear3dGetWorkspaceSize: loader
                .required(Library::Opapi, c"aclnnUpsampleTrilinear3dGetWorkspaceSize"),
            aclnnUpsampleTrilinear3d: loader
                .required(Library::Opapi, c"aclnnUpsampleTrilinear3d"),
        };
        loader.finish(functions)
    }
}
