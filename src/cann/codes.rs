//! CANN's return codes: what they are called, what they mean, and what can be done.
//!
//! Numbers and names are those of CANN 8.1; the words are ours. Codes that this engine cannot cause,
//! such as those of models and queues, are not listed.

use std::fmt;

/// A return code.
struct Code {
    code: i32,
    name: &'static str,
    /// What happened, in words.
    meaning: &'static str,
    /// What a user can do; empty where there is nothing to advise.
    remedy: &'static str,
}

const fn code(code: i32, name: &'static str, meaning: &'static str, remedy: &'static str) -> Code {
    Code {
        code,
        name,
        meaning,
        remedy,
    }
}

/// The library is initialised already.
pub(super) const REPEAT_INITIALIZE: i32 = 100_002;
/// The device has not enough memory for an allocation.
const MEMORY_ALLOCATION: i32 = 207_001;

/// Not all work of a stream was done in the time given.
pub(super) fn is_timeout(code: i32) -> bool {
    matches!(code, 107_019 | 507_046 | 507_047)
}

/// There is not enough memory.
pub(super) fn is_out_of_memory(code: i32) -> bool {
    matches!(code, 200_000 | MEMORY_ALLOCATION | 207_018)
}

/// What is known of a code.
fn find(code: i32) -> Option<&'static Code> {
    let at = CODES.binary_search_by_key(&code, |entry| entry.code).ok()?;
    Some(&CODES[at])
}

/// A failed call in words: what it was, its code and name, what CANN says, and the remedy.
pub(super) fn describe(operation: impl fmt::Display, code: i32, message: &str) -> String {
    let known = find(code);
    let name = known.map_or_else(String::new, |c| format!(" {}: {}", c.name, c.meaning));
    let mut text = format!("{operation} failed ({code}{name})");
    let message = one_line(message);
    if !message.is_empty() {
        text += &format!("; CANN says: {message}");
    }
    match known.map(|c| c.remedy) {
        None | Some("") => text,
        Some(remedy) => format!("{text}; {remedy}"),
    }
}

/// CANN's messages have many lines, with indentation and traces.
pub(super) fn one_line(message: &str) -> String {
    const LONGEST: usize = 500;
    let words: Vec<_> = message.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.trim_end_matches('.').to_owned(),
    }
}

const SET_ENV: &str = "source CANN's set_env.sh";
const REPORT: &str = "run again; if it comes back, please report it";
const CHECK_CARD: &str = "look at the card with `npu-smi info`";
const RESET_CARD: &str =
    "look at the card with `npu-smi info`, end other programs that use it, and reset it";
const LESS_WORK: &str = "try fewer frames or a smaller size";

/// In the order of the codes.
const CODES: &[Code] = &[
    code(
        100_000,
        "ACL_ERROR_INVALID_PARAM",
        "an argument is not valid",
        "",
    ),
    code(
        100_001,
        "ACL_ERROR_UNINITIALIZE",
        "the library is not initialised",
        "",
    ),
    code(
        REPEAT_INITIALIZE,
        "ACL_ERROR_REPEAT_INITIALIZE",
        "the library is initialised already",
        "",
    ),
    code(100_003, "ACL_ERROR_INVALID_FILE", "a file is not valid", ""),
    code(
        100_005,
        "ACL_ERROR_INVALID_FILE_SIZE",
        "a file has a wrong size",
        "",
    ),
    code(100_006, "ACL_ERROR_PARSE_FILE", "a file cannot be read", ""),
    code(
        100_024,
        "ACL_ERROR_OP_NOT_FOUND",
        "there is no such operator",
        SET_ENV,
    ),
    code(
        100_025,
        "ACL_ERROR_OP_LOAD_FAILED",
        "an operator cannot be loaded",
        SET_ENV,
    ),
    code(
        100_026,
        "ACL_ERROR_UNSUPPORTED_DATA_TYPE",
        "an element type is not supported",
        "",
    ),
    code(
        100_027,
        "ACL_ERROR_FORMAT_NOT_MATCH",
        "a format does not match",
        "",
    ),
    code(
        100_029,
        "ACL_ERROR_KERNEL_NOT_FOUND",
        "there is no such kernel",
        "",
    ),
    code(
        100_037,
        "ACL_ERROR_REPEAT_FINALIZE",
        "the library is finalised already",
        "",
    ),
    code(
        100_039,
        "ACL_ERROR_COMPILING_STUB_MODE",
        "this is a library to link against, without functions",
        "take the folder devlib out of the library path",
    ),
    code(
        100_042,
        "ACL_ERROR_PROF_ALREADY_RUN",
        "profiling runs already",
        "",
    ),
    code(
        100_043,
        "ACL_ERROR_PROF_NOT_RUN",
        "profiling does not run",
        "",
    ),
    code(
        107_000,
        "ACL_ERROR_RT_PARAM_INVALID",
        "an argument is not valid",
        "",
    ),
    code(
        107_001,
        "ACL_ERROR_RT_INVALID_DEVICEID",
        "there is no such device",
        "see `ascendit devices` and the variable ASCEND_RT_VISIBLE_DEVICES",
    ),
    code(
        107_002,
        "ACL_ERROR_RT_CONTEXT_NULL",
        "the thread has no context",
        "",
    ),
    code(
        107_003,
        "ACL_ERROR_RT_STREAM_CONTEXT",
        "the stream belongs to another context",
        "",
    ),
    code(
        107_006,
        "ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID",
        "the event has no time yet",
        "",
    ),
    code(
        107_007,
        "ACL_ERROR_RT_EVENT_TIMESTAMP_REVERSAL",
        "the events are in the wrong order",
        "",
    ),
    code(
        107_008,
        "ACL_ERROR_RT_ADDR_UNALIGNED",
        "an address is not aligned",
        "",
    ),
    code(
        107_009,
        "ACL_ERROR_RT_FILE_OPEN",
        "a file cannot be opened",
        "",
    ),
    code(
        107_010,
        "ACL_ERROR_RT_FILE_WRITE",
        "a file cannot be written",
        "look whether the disk is full",
    ),
    code(
        107_016,
        "ACL_ERROR_RT_INVALID_MEMORY_TYPE",
        "the memory is of a wrong kind",
        "",
    ),
    code(
        107_017,
        "ACL_ERROR_RT_INVALID_HANDLE",
        "a handle is not valid",
        "",
    ),
    code(
        107_018,
        "ACL_ERROR_RT_INVALID_MALLOC_TYPE",
        "the memory was allocated in another way",
        "",
    ),
    code(
        107_019,
        "ACL_ERROR_RT_WAIT_TIMEOUT",
        "it was not done in the time given",
        "",
    ),
    code(
        107_020,
        "ACL_ERROR_RT_TASK_TIMEOUT",
        "a task took too long",
        LESS_WORK,
    ),
    code(
        107_022,
        "ACL_ERROR_RT_DEVICE_TASK_ABORT",
        "the device's tasks are being aborted",
        "",
    ),
    code(
        107_023,
        "ACL_ERROR_RT_STREAM_ABORT",
        "the stream is being aborted",
        "",
    ),
    code(
        148_049,
        "ACL_ERROR_INVALID_OPP_PATH",
        "the folder of the operators is not there",
        SET_ENV,
    ),
    code(
        148_051,
        "ACL_ERROR_RELATIVE_RESOURCE_NOT_CLEARED",
        "something is still in use",
        "",
    ),
    code(
        161_001,
        "ACLNN_ERR_PARAM_NULLPTR",
        "an argument is missing",
        "",
    ),
    code(
        161_002,
        "ACLNN_ERR_PARAM_INVALID",
        "the operator does not take these arguments",
        "",
    ),
    code(200_000, "ACL_ERROR_BAD_ALLOC", "not enough memory", ""),
    code(
        200_001,
        "ACL_ERROR_API_NOT_SUPPORT",
        "the function is not supported",
        "update CANN and the driver",
    ),
    code(
        200_002,
        "ACL_ERROR_INVALID_DEVICE",
        "the device is not valid",
        CHECK_CARD,
    ),
    code(
        200_003,
        "ACL_ERROR_MEMORY_ADDRESS_UNALIGNED",
        "an address is not aligned",
        "",
    ),
    code(
        200_005,
        "ACL_ERROR_INVALID_RESOURCE_HANDLE",
        "a handle is not valid",
        "",
    ),
    code(
        200_006,
        "ACL_ERROR_FEATURE_UNSUPPORTED",
        "not supported by this device",
        "",
    ),
    code(
        207_000,
        "ACL_ERROR_RT_FEATURE_NOT_SUPPORT",
        "not supported by this device or driver",
        "update CANN and the driver",
    ),
    code(
        MEMORY_ALLOCATION,
        "ACL_ERROR_RT_MEMORY_ALLOCATION",
        "not enough memory",
        "",
    ),
    code(
        207_002,
        "ACL_ERROR_RT_MEMORY_FREE",
        "memory cannot be freed",
        "",
    ),
    code(
        207_003,
        "ACL_ERROR_RT_AICORE_OVER_FLOW",
        "a value is too large for its type",
        "try --dtype bf16",
    ),
    code(
        207_004,
        "ACL_ERROR_RT_NO_DEVICE",
        "there is no device",
        CHECK_CARD,
    ),
    code(
        207_005,
        "ACL_ERROR_RT_RESOURCE_ALLOC_FAIL",
        "the device has run out of something",
        "end other programs that use the card",
    ),
    code(
        207_006,
        "ACL_ERROR_RT_NO_PERMISSION",
        "not permitted",
        "the user must be in the driver's group, HwHiAiUser, and in a container the card's files /dev/davinci* must be there",
    ),
    code(
        207_007,
        "ACL_ERROR_RT_NO_EVENT_RESOURCE",
        "the device has no events left",
        "end other programs that use the card",
    ),
    code(
        207_008,
        "ACL_ERROR_RT_NO_STREAM_RESOURCE",
        "the device has no streams left",
        "end other programs that use the card",
    ),
    code(207_012, "ACL_ERROR_RT_OVER_LIMIT", "a limit was passed", ""),
    code(
        207_015,
        "ACL_ERROR_RT_REPEATED_INIT",
        "the runtime is initialised already",
        "",
    ),
    code(
        207_016,
        "ACL_ERROR_RT_AIVEC_OVER_FLOW",
        "a value is too large for its type",
        "try --dtype bf16",
    ),
    code(
        207_017,
        "ACL_ERROR_RT_OVER_FLOW",
        "a value is too large for its type",
        "try --dtype bf16",
    ),
    code(
        207_018,
        "ACL_ERROR_RT_DEVICE_OOM",
        "the device has run out of memory",
        "",
    ),
    code(
        300_000,
        "ACL_ERROR_STORAGE_OVER_LIMIT",
        "a limit was passed",
        "",
    ),
    code(
        361_001,
        "ACLNN_ERR_RUNTIME_ERROR",
        "the runtime refused the operator",
        "",
    ),
    code(
        500_000,
        "ACL_ERROR_INTERNAL_ERROR",
        "an internal error",
        REPORT,
    ),
    code(500_001, "ACL_ERROR_FAILURE", "an internal error", REPORT),
    code(
        500_002,
        "ACL_ERROR_GE_FAILURE",
        "an internal error of the graph engine",
        REPORT,
    ),
    code(
        500_003,
        "ACL_ERROR_RT_FAILURE",
        "an internal error of the runtime",
        REPORT,
    ),
    code(
        500_004,
        "ACL_ERROR_DRV_FAILURE",
        "an internal error of the driver",
        CHECK_CARD,
    ),
    code(
        500_005,
        "ACL_ERROR_PROFILING_FAILURE",
        "profiling failed",
        "",
    ),
    code(
        507_000,
        "ACL_ERROR_RT_INTERNAL_ERROR",
        "an internal error of the runtime",
        REPORT,
    ),
    code(
        507_001,
        "ACL_ERROR_RT_TS_ERROR",
        "an internal error of the task scheduler",
        RESET_CARD,
    ),
    code(
        507_002,
        "ACL_ERROR_RT_STREAM_TASK_FULL",
        "the stream has too many tasks",
        "",
    ),
    code(
        507_003,
        "ACL_ERROR_RT_STREAM_TASK_EMPTY",
        "the stream has no tasks",
        "",
    ),
    code(
        507_004,
        "ACL_ERROR_RT_STREAM_NOT_COMPLETE",
        "the stream is not done",
        "",
    ),
    code(
        507_006,
        "ACL_ERROR_RT_EVENT_NOT_COMPLETE",
        "the event is not done",
        "",
    ),
    code(
        507_007,
        "ACL_ERROR_RT_CONTEXT_RELEASE_ERROR",
        "the context cannot be released",
        "",
    ),
    code(
        507_008,
        "ACL_ERROR_RT_SOC_VERSION",
        "the kind of chip is not known to this CANN",
        "look whether driver, firmware and CANN fit together",
    ),
    code(
        507_009,
        "ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT",
        "the device does not know such a task",
        "look whether driver, firmware and CANN fit together",
    ),
    code(
        507_010,
        "ACL_ERROR_RT_LOST_HEARTBEAT",
        "the device does not answer any more",
        RESET_CARD,
    ),
    code(
        507_011,
        "ACL_ERROR_RT_MODEL_EXECUTE",
        "a task failed",
        REPORT,
    ),
    code(
        507_012,
        "ACL_ERROR_RT_REPORT_TIMEOUT",
        "the device does not report in time",
        RESET_CARD,
    ),
    code(507_013, "ACL_ERROR_RT_SYS_DMA", "a copy failed", RESET_CARD),
    code(
        507_014,
        "ACL_ERROR_RT_AICORE_TIMEOUT",
        "a kernel took too long",
        LESS_WORK,
    ),
    code(
        507_015,
        "ACL_ERROR_RT_AICORE_EXCEPTION",
        "a kernel failed",
        REPORT,
    ),
    code(
        507_016,
        "ACL_ERROR_RT_AICORE_TRAP_EXCEPTION",
        "a kernel failed",
        REPORT,
    ),
    code(
        507_017,
        "ACL_ERROR_RT_AICPU_TIMEOUT",
        "an operator on the device's CPU took too long",
        LESS_WORK,
    ),
    code(
        507_018,
        "ACL_ERROR_RT_AICPU_EXCEPTION",
        "an operator on the device's CPU failed",
        REPORT,
    ),
    code(
        507_021,
        "ACL_ERROR_RT_PROFILING_ERROR",
        "profiling failed",
        "",
    ),
    code(
        507_027,
        "ACL_ERROR_RT_KERNEL_LOOKUP",
        "there is no such kernel",
        "",
    ),
    code(
        507_033,
        "ACL_ERROR_RT_DEV_SETUP_ERROR",
        "the device cannot be set up",
        RESET_CARD,
    ),
    code(
        507_034,
        "ACL_ERROR_RT_VECTOR_CORE_TIMEOUT",
        "a kernel on the vector cores took too long",
        LESS_WORK,
    ),
    code(
        507_035,
        "ACL_ERROR_RT_VECTOR_CORE_EXCEPTION",
        "a kernel on the vector cores failed",
        REPORT,
    ),
    code(
        507_036,
        "ACL_ERROR_RT_VECTOR_CORE_TRAP_EXCEPTION",
        "a kernel on the vector cores failed",
        REPORT,
    ),
    code(
        507_042,
        "ACL_ERROR_RT_AICORE_TRAP_READ_OVERFLOW",
        "a kernel read beyond its memory",
        REPORT,
    ),
    code(
        507_043,
        "ACL_ERROR_RT_AICORE_TRAP_WRITE_OVERFLOW",
        "a kernel wrote beyond its memory",
        REPORT,
    ),
    code(
        507_044,
        "ACL_ERROR_RT_VECTOR_CORE_TRAP_READ_OVERFLOW",
        "a kernel on the vector cores read beyond its memory",
        REPORT,
    ),
    code(
        507_045,
        "ACL_ERROR_RT_VECTOR_CORE_TRAP_WRITE_OVERFLOW",
        "a kernel on the vector cores wrote beyond its memory",
        REPORT,
    ),
    code(
        507_046,
        "ACL_ERROR_RT_STREAM_SYNC_TIMEOUT",
        "the stream was not done in the time given",
        "",
    ),
    code(
        507_047,
        "ACL_ERROR_RT_EVENT_SYNC_TIMEOUT",
        "the event was not done in the time given",
        "",
    ),
    code(
        507_048,
        "ACL_ERROR_RT_FFTS_PLUS_TIMEOUT",
        "a group of kernels took too long",
        LESS_WORK,
    ),
    code(
        507_049,
        "ACL_ERROR_RT_FFTS_PLUS_EXCEPTION",
        "a group of kernels failed",
        REPORT,
    ),
    code(
        507_050,
        "ACL_ERROR_RT_FFTS_PLUS_TRAP_EXCEPTION",
        "a group of kernels failed",
        REPORT,
    ),
    code(
        507_051,
        "ACL_ERROR_RT_SEND_MSG",
        "the device cannot be reached",
        RESET_CARD,
    ),
    code(
        507_052,
        "ACL_ERROR_RT_COPY_DATA",
        "a copy failed",
        RESET_CARD,
    ),
    code(
        507_053,
        "ACL_ERROR_RT_DEVICE_MEM_ERROR",
        "the device's memory is faulty",
        RESET_CARD,
    ),
    code(
        507_054,
        "ACL_ERROR_RT_HBM_MULTI_BIT_ECC_ERROR",
        "the device's memory is faulty",
        "reset the card; if it comes back, the card must be replaced",
    ),
    code(
        507_899,
        "ACL_ERROR_RT_DRV_INTERNAL_ERROR",
        "an internal error of the driver",
        "look at the card with `npu-smi info`; no other container may hold it",
    ),
    code(
        507_900,
        "ACL_ERROR_RT_AICPU_INTERNAL_ERROR",
        "an internal error of the device's CPU",
        RESET_CARD,
    ),
    code(
        507_901,
        "ACL_ERROR_RT_SOCKET_CLOSE",
        "the connection to the device is closed",
        RESET_CARD,
    ),
    code(
        561_000,
        "ACLNN_ERR_INNER",
        "an internal error of the operator",
        REPORT,
    ),
    code(
        561_001,
        "ACLNN_ERR_INNER_INFERSHAPE_ERROR",
        "the operator cannot tell its shapes",
        "",
    ),
    code(
        561_002,
        "ACLNN_ERR_INNER_TILING_ERROR",
        "the operator cannot divide this work",
        "",
    ),
    code(
        561_003,
        "ACLNN_ERR_INNER_FIND_KERNEL_ERROR",
        "the operator has no kernel for these types here",
        "install the kernels of this chip, the package Ascend-cann-kernels",
    ),
    code(
        561_101,
        "ACLNN_ERR_INNER_CREATE_EXECUTOR",
        "the operator has no executor",
        "",
    ),
    code(
        561_102,
        "ACLNN_ERR_INNER_NOT_TRANS_EXECUTOR",
        "the operator lost its executor",
        "",
    ),
    code(
        561_103,
        "ACLNN_ERR_INNER_NULLPTR",
        "the operator lost something",
        REPORT,
    ),
    code(
        561_104,
        "ACLNN_ERR_INNER_WRONG_ATTR_INFO_SIZE",
        "the operator's files do not fit",
        SET_ENV,
    ),
    code(
        561_105,
        "ACLNN_ERR_INNER_KEY_CONFILICT",
        "the operator's files contradict each other",
        SET_ENV,
    ),
    code(
        561_106,
        "ACLNN_ERR_INNER_INVALID_IMPL_MODE",
        "the operator has no such mode",
        "",
    ),
    code(
        561_107,
        "ACLNN_ERR_INNER_OPP_PATH_NOT_FOUND",
        "the folder of the operators is not known",
        SET_ENV,
    ),
    code(
        561_108,
        "ACLNN_ERR_INNER_LOAD_JSON_FAILED",
        "a file of the operators cannot be read",
        SET_ENV,
    ),
    code(
        561_109,
        "ACLNN_ERR_INNER_JSON_VALUE_NOT_FOUND",
        "a file of the operators lacks a value",
        SET_ENV,
    ),
    code(
        561_110,
        "ACLNN_ERR_INNER_JSON_FORMAT_INVALID",
        "a file of the operators names no valid format",
        SET_ENV,
    ),
    code(
        561_111,
        "ACLNN_ERR_INNER_JSON_DTYPE_INVALID",
        "a file of the operators names no valid type",
        SET_ENV,
    ),
    code(
        561_112,
        "ACLNN_ERR_INNER_OPP_KERNEL_PKG_NOT_FOUND",
        "the operators have no kernels for this chip",
        "install the kernels of this chip, the package Ascend-cann-kernels",
    ),
    code(
        561_113,
        "ACLNN_ERR_INNER_OP_FILE_INVALID",
        "a file of the operators is not valid",
        SET_ENV,
    ),
    code(
        561_118,
        "ACLNN_ERR_INNER_STATIC_WORKSPACE_INVALID",
        "the operator's files name no valid workspace",
        SET_ENV,
    ),
    code(
        561_119,
        "ACLNN_ERR_INNER_STATIC_BLOCK_DIM_INVALID",
        "the operator's files name no valid number of cores",
        SET_ENV,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_found() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        assert_eq!(
            find(507_015).map(|c| c.name),
            Some("ACL_ERROR_RT_AICORE_EXCEPTION")
        );
        assert!(find(0).is_none());
    }

    #[test]
    fn a_failure_is_described_in_one_line() {
        assert_eq!(
            describe(
                "aclrtSynchronizeStream",
                507_014,
                "EZ9999: Inner Error!\n\tTraceBack: x.cc:12."
            ),
            "aclrtSynchronizeStream failed (507014 ACL_ERROR_RT_AICORE_TIMEOUT: a kernel took too long); \
             CANN says: EZ9999: Inner Error! TraceBack: x.cc:12; try fewer frames or a smaller size"
        );
        assert_eq!(describe("aclFoo", 42, ""), "aclFoo failed (42)");
        let long = describe("aclFoo", 42, &"é".repeat(600));
        assert_eq!(
            long,
            format!("aclFoo failed (42); CANN says: {} ...", "é".repeat(500))
        );
    }

    #[test]
    fn words_are_written_as_parts_of_a_message() {
        for entry in CODES {
            for text in [entry.meaning, entry.remedy] {
                assert!(!text.ends_with(['.', ';', ' ']), "{}: {text:?}", entry.name);
            }
            assert!(!entry.meaning.is_empty(), "{}", entry.name);
            assert!(entry.name.starts_with("ACL"), "{}", entry.name);
        }
    }
}
