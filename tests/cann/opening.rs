//! Which libraries are taken, and what is said about the others.

use std::ffi::OsString;
use std::fs;

use ascendit::cann::{Cann, Place, Search, TwinSearch};

use crate::fake::{Fake, compile, only, refusal};

const REMEDY: &str = "install CANN 8.1 or newer, or run `source \
                      /usr/local/Ascend/ascend-toolkit/set_env.sh` in this shell first";

#[test]
fn places_come_from_variables_then_the_loader_then_usual_folders() {
    let get = |name: &str| {
        let value = match name {
            "ASCEND_HOME_PATH" => "/opt/cann",
            "ASCEND_TOOLKIT_HOME" => "/opt/toolkit",
            "HOME" => "/home/a",
            _ => return None,
        };
        Some(OsString::from(value))
    };
    let usual = |folder: &str| Place::Usual(folder.into());
    let variable = |name, folder: &str| Place::Variable {
        name,
        folder: folder.into(),
    };
    assert_eq!(
        Search::from_variables(get).places,
        [
            variable("ASCEND_HOME_PATH", "/opt/cann/lib64"),
            variable("ASCEND_TOOLKIT_HOME", "/opt/toolkit/lib64"),
            Place::Loader,
            usual("/usr/local/Ascend/ascend-toolkit/latest/lib64"),
            usual("/usr/local/Ascend/cann/lib64"),
            usual("/home/a/Ascend/ascend-toolkit/latest/lib64"),
            usual("/home/a/Ascend/cann/lib64"),
        ]
    );
    let empty = |_: &str| Some(OsString::new());
    assert_eq!(
        Search::from_variables(empty).places,
        [
            Place::Loader,
            usual("/usr/local/Ascend/ascend-toolkit/latest/lib64"),
            usual("/usr/local/Ascend/cann/lib64"),
        ]
    );
}

#[test]
fn every_place_without_cann_is_listed() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    fs::create_dir(root.path().join("broken")).unwrap();
    fs::write(root.path().join("broken/libascendcl.so"), "text").unwrap();
    let places = vec![
        Place::Variable {
            name: "ASCEND_HOME_PATH",
            folder: root.path().join("nowhere"),
        },
        Place::Loader,
        Place::Usual(root.path().join("empty")),
        Place::Usual(root.path().join("broken")),
    ];
    let at = root.path().display();
    assert_eq!(
        refusal(&Search { places }),
        format!(
            "cann: libascendcl.so was not found; tried {at}/nowhere of ASCEND_HOME_PATH (no such \
             folder), the loader's path (cannot be opened: libascendcl.so: cannot open shared object \
             file: No such file or directory), {at}/empty (no libascendcl.so in it), {at}/broken \
             (cannot be opened: {at}/broken/libascendcl.so: file too short); {REMEDY}"
        )
    );
}

#[test]
fn the_first_place_that_can_be_opened_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let [broken, first, second] = ["broken", "first", "second"].map(|name| root.path().join(name));
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("libascendcl.so"), "text").unwrap();
    Fake::default().make(&first);
    Fake {
        version: "9.0.0",
        ..Fake::default()
    }
    .make(&second);
    let places = [&broken, &first, &second].map(|place| Place::Usual(place.clone()));
    let cann = Cann::open(&Search {
        places: places.to_vec(),
    })
    .unwrap();
    assert_eq!(cann.version().to_string(), "CANN 8.1.RC1");
    assert_eq!(cann.origin(), first.display().to_string());
    assert_eq!(cann.name(), "cann");
    assert_eq!(cann.devices().unwrap(), 0);
    assert_eq!(cann.soc_name(), "");
    assert!(!cann.has_prompt_attention());
}

#[test]
fn a_missing_library_is_named() {
    let root = tempfile::tempdir().unwrap();
    Fake::default().make(root.path());
    let at = root.path().display();
    for library in ["libopapi.so", "libnnopbase.so"] {
        fs::remove_file(root.path().join(library)).unwrap();
        assert_eq!(
            refusal(&only(root.path())),
            format!(
                "cann: {library} cannot be used (no {library} in it); tried {at} (taken); {REMEDY}"
            )
        );
    }
}

#[test]
fn all_missing_functions_are_named() {
    let root = tempfile::tempdir().unwrap();
    Fake {
        without: &["aclrtBinaryLoadFromFile", "aclCreateTensor", "aclnnCat"],
        ..Fake::default()
    }
    .make(root.path());
    let at = root.path().display();
    assert_eq!(
        refusal(&only(root.path())),
        format!(
            "cann: CANN 8.1.RC1 lacks aclrtBinaryLoadFromFile in libascendcl.so, aclCreateTensor in \
             libnnopbase.so, aclnnCat in libopapi.so; tried {at} (taken); {REMEDY}"
        )
    );
}

#[test]
fn a_version_that_is_too_old_is_named_rather_than_what_it_lacks() {
    let root = tempfile::tempdir().unwrap();
    Fake {
        version: "8.0.RC3",
        without: &["aclrtBinaryLoadFromFile"],
        ..Fake::default()
    }
    .make(root.path());
    let at = root.path().display();
    assert_eq!(
        refusal(&only(root.path())),
        format!(
            "cann: CANN 8.0.RC3 is too old, 8.1 or newer is needed; tried {at} (taken); {REMEDY}"
        )
    );
}

#[test]
fn operators_may_lie_in_several_files() {
    let root = tempfile::tempdir().unwrap();
    let parts: [(&str, &[&str]); 2] = [
        ("libopapi_math.so", &["aclnnA", "aclnnM"]),
        ("libopapi_nn.so", &["aclnn"]),
    ];
    Fake {
        operators: &parts,
        ..Fake::default()
    }
    .make(&root.path().join("divided"));
    assert!(Cann::open(&only(&root.path().join("divided"))).is_ok());

    let whole = root.path().join("whole");
    Fake {
        operators: &[("libopapi.so", &["aclnnA"]), parts[1]],
        ..Fake::default()
    }
    .make(&whole);
    assert!(Cann::open(&only(&whole)).is_ok());
}

#[test]
fn what_cann_says_when_it_does_not_start_is_passed_on() {
    let root = tempfile::tempdir().unwrap();
    Fake {
        source: r#"
            int aclInit(const char *config) { return 507899; }
            const char *aclGetRecentErrMsg(void) { return "EL0001: no driver.\n\tSolution: install one.\n"; }
        "#,
        without: &["aclInit", "aclGetRecentErrMsg"],
        ..Fake::default()
    }
    .make(root.path());
    let at = root.path().display();
    assert_eq!(
        refusal(&only(root.path())),
        format!(
            "cann: aclInit failed (507899 ACL_ERROR_RT_DRV_INTERNAL_ERROR: an internal error of the \
             driver); CANN says: EL0001: no driver. Solution: install one; look at the card with \
             `npu-smi info`; no other container may hold it; tried {at} (taken); {REMEDY}"
        )
    );
}

#[test]
fn a_twin_that_is_not_there_is_said() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().display();
    let refusal = |search: &TwinSearch| Cann::open_twin(search).expect_err("none").to_string();
    let beside = TwinSearch {
        exe_dir: Some(root.path().to_owned()),
        named: None,
    };
    assert_eq!(
        refusal(&beside),
        format!(
            "twin: libascendit_cann_twin.so was not found; tried \
             {at}/deps/libascendit_cann_twin.so (no such file), {at}/libascendit_cann_twin.so (no such \
             file); `cargo build` makes it; \
             ASCENDIT_TWIN can name it"
        )
    );
    let named = TwinSearch {
        named: Some(root.path().join("other.so")),
        ..beside
    };
    assert_eq!(
        refusal(&named),
        format!(
            "twin: libascendit_cann_twin.so was not found; tried {at}/other.so (no such file); \
             `cargo build` makes it; ASCENDIT_TWIN can name it"
        )
    );
    compile("int nothing;", &root.path().join("other.so"));
    let error = refusal(&named);
    assert!(
        error.starts_with("twin: CANN of an unknown version lacks aclInit in"),
        "{error}"
    );
}
