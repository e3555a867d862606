//! `bindings.rs` and `table.rs` are what `acl.h` says, and `acl.h` says what CANN's own headers say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{ForeignItem, ForeignItemFn, Item};

/// Functions that some versions of CANN, or installations without all packages, do not have.
const OPTIONAL: [&str; 4] = [
    "aclsysGetCANNVersion",
    "aclrtStreamAbort",
    "aclrtDestroyStreamForce",
    "aclnnPromptFlashAttentionV3",
];

#[test]
fn the_committed_bindings_are_made_from_the_header() {
    let Some(bindings) = bindings_of(&root().join("include/acl.h"), &[]) else {
        return skip("no libclang (pip install libclang and set LIBCLANG_PATH)");
    };
    let table = table_of(&bindings);
    for (name, text) in [
        ("bindings.rs", without_functions(&bindings)),
        ("table.rs", table),
    ] {
        let path = root().join("src").join(name);
        if std::env::var_os("UPDATE_BINDINGS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap();
        assert!(
            committed == text,
            "{name} is not what include/acl.h says; run UPDATE_BINDINGS=1 cargo test -p \
             ascendit-cann-sys --test bindings"
        );
    }
}

#[test]
fn the_header_agrees_with_an_installed_toolkit() {
    let home = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"]
        .iter()
        .find_map(std::env::var_os);
    let Some(home) = home.map(PathBuf::from) else {
        return skip("no CANN toolkit (ASCEND_HOME_PATH is not set)");
    };
    let includes = toolkit_includes(&home);
    assert!(
        !includes.is_empty(),
        "no acl/acl.h below {}",
        home.display()
    );
    let Some(ours) = bindings_of(&root().join("include/acl.h"), &[]) else {
        return skip("no libclang (pip install libclang and set LIBCLANG_PATH)");
    };
    let mut text = String::new();
    for header in ["acl/acl.h", "acl/acl_prof.h", "aclnn/acl_meta.h"] {
        text += &format!("#include \"{header}\"\n");
    }
    let operators = items(&ours)
        .into_keys()
        .filter(|name| name.starts_with("aclnn"));
    let operator_headers = operator_headers(&includes, &operators.collect::<Vec<_>>());
    for header in operator_headers {
        text += &format!("#include \"aclnnop/{header}\"\n");
    }
    let folder = std::env::temp_dir().join(format!("ascendit-abi-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let header = folder.join("all.hpp");
    fs::write(&header, text).unwrap();
    let theirs = bindings_of(&header, &includes).expect("libclang is there");
    fs::remove_dir_all(&folder).unwrap();

    let compared = compare(&items(&ours), &items(&theirs));
    println!(
        "{} functions, types and constants agree with {}",
        compared.agree,
        home.display()
    );
    if !compared.absent.is_empty() {
        let absent = compared.absent.join(", ");
        println!("the toolkit lacks {absent}, which the engine can do without");
    }
    assert!(compared.wrong.is_empty(), "{}", compared.wrong.join("\n"));
}

/// What bindings say beside what others say.
#[derive(Debug, Default, PartialEq)]
struct Compared {
    /// How many items are the same.
    agree: usize,
    /// Functions that others lack and that need not be there.
    absent: Vec<String>,
    /// Differences, with both texts.
    wrong: Vec<String>,
}

fn compare(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> Compared {
    let mut compared = Compared::default();
    for (name, item) in ours {
        match theirs.get(name) {
            Some(other) if item == other => compared.agree += 1,
            Some(other) => {
                let text = format!("{name}\n  ours   {item}\n  theirs {other}");
                compared.wrong.push(text);
            }
            None if item.starts_with("fn") && is_optional(name) => {
                compared.absent.push(name.clone());
            }
            None => compared.wrong.push(format!("{name} is not in the toolkit")),
        }
    }
    compared
}

#[test]
fn only_what_is_optional_may_be_absent_from_a_toolkit() {
    let bindings = |text: &str| items(&syn::parse_file(text).unwrap());
    let ours = bindings(
        "pub const ACL_FLOAT: aclDataType = 0;
         pub type aclDataType = i32;
         unsafe extern \"C\" {
             pub fn aclInit(path: *const u8) -> i32;
             pub fn aclFinalize() -> i32;
             pub fn aclrtStreamAbort(stream: aclrtStream) -> i32;
             pub fn aclnnPromptFlashAttentionV3GetWorkspaceSize(query: *const aclTensor) -> i32;
             pub fn aclprofInit(path: *const u8, length: usize) -> i32;
         }",
    );
    assert_eq!(compare(&ours, &ours).agree, 7);
    let theirs = bindings(
        "pub type aclDataType = i32;
         unsafe extern \"C\" {
             pub fn aclInit(name_of_a_file: *const u8) -> i32;
             pub fn aclprofInit(path: *const u8) -> i32;
         }",
    );
    let text = |name: &str| name.to_owned();
    assert_eq!(
        compare(&ours, &theirs),
        Compared {
            agree: 2,
            absent: vec![
                text("aclnnPromptFlashAttentionV3GetWorkspaceSize"),
                text("aclrtStreamAbort"),
            ],
            wrong: vec![
                text("ACL_FLOAT is not in the toolkit"),
                text("aclFinalize is not in the toolkit"),
                text(
                    "aclprofInit\n  ours   fn (* const u8 , usize) -> i32\n  theirs fn (* const u8) -> i32"
                ),
            ],
        }
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Tests that cannot run say so; `REQUIRE_LIBCLANG` makes that a failure.
fn skip(why: &str) {
    assert!(
        !(why.contains("libclang") && std::env::var_os("REQUIRE_LIBCLANG").is_some()),
        "{why}"
    );
    println!("skipped: {why}");
}

/// bindgen's output, or nothing where libclang is not there.
fn bindings_of(header: &Path, includes: &[PathBuf]) -> Option<syn::File> {
    let found = std::panic::catch_unwind(|| {
        let mut builder = bindgen::Builder::default()
            .header(header.to_str().expect("a path in UTF-8"))
            .use_core()
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .generate_comments(false)
            .merge_extern_blocks(true)
            .layout_tests(true)
            .allowlist_item("acl.*|ACL_.*")
            .formatter(bindgen::Formatter::None)
            .rust_target(bindgen::RustTarget::stable(85, 0).expect("a version of Rust"))
            .rust_edition(bindgen::RustEdition::Edition2024);
        if let Some(folder) = compiler_headers() {
            builder = builder.clang_args(["-isystem", &folder]);
        }
        if !includes.is_empty() {
            builder = builder.clang_args(["-x", "c++", "-std=c++17"]);
        }
        for include in includes {
            builder = builder.clang_arg(format!("-I{}", include.display()));
        }
        builder.generate().expect("the header is C")
    });
    let bindings = match found {
        Ok(bindings) => bindings,
        Err(_) if std::env::var_os("REQUIRE_LIBCLANG").is_none() => return None,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    Some(syn::parse_file(&bindings.to_string()).expect("bindgen writes Rust"))
}

/// `stddef.h` and its kind come with a compiler, and not with every libclang.
fn compiler_headers() -> Option<String> {
    let mut cc = std::process::Command::new("cc");
    let output = cc.arg("-print-file-name=include").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The functions in a file of bindings.
fn functions(file: &syn::File) -> Vec<&ForeignItemFn> {
    let blocks = file.items.iter().filter_map(|item| match item {
        Item::ForeignMod(block) => Some(&block.items),
        _ => None,
    });
    blocks
        .flatten()
        .filter_map(|item| match item {
            ForeignItem::Fn(function) => Some(function),
            _ => None,
        })
        .collect()
}

/// Types and constants. The functions are in the table: nothing may be linked.
fn without_functions(file: &syn::File) -> String {
    let mut file = file.clone();
    file.items
        .retain(|item| !matches!(item, Item::ForeignMod(_)));
    format!(
        "// Made from include/acl.h by tests/bindings.rs.\n\n{}",
        prettyplease::unparse(&file)
    )
}

/// Which library exports a function.
fn library_of(name: &str) -> &'static str {
    let about = ["Tensor", "Scalar", "IntArray", "OpExecutor"];
    match name {
        _ if name.starts_with("aclnn") => "Opapi",
        _ if name.starts_with("aclprof") => "Msprofiler",
        _ if about.iter().any(|part| name.contains(part)) => "Nnopbase",
        _ => "Ascendcl",
    }
}

fn is_optional(name: &str) -> bool {
    let operator = name.strip_suffix("GetWorkspaceSize").unwrap_or(name);
    name.starts_with("aclprof") || OPTIONAL.contains(&operator)
}

/// The table of function pointers.
fn table_of(file: &syn::File) -> String {
    let (mut fields, mut loads) = (TokenStream::new(), TokenStream::new());
    for function in functions(file) {
        let (name, inputs, output) = (
            &function.sig.ident,
            &function.sig.inputs,
            &function.sig.output,
        );
        let text = name.to_string();
        let library = library_of(&text);
        let symbol = syn::LitCStr::new(
            &std::ffi::CString::new(text.clone()).unwrap(),
            proc_macro2::Span::call_site(),
        );
        let kind = quote!(unsafe extern "C" fn(#inputs) #output);
        let library_ident = format_ident!("{library}");
        let doc = format!(" In `lib{}`.", library.to_lowercase());
        let (kind, load) = match is_optional(&text) {
            true => (quote!(Option<#kind>), quote!(optional)),
            false => (kind, quote!(required)),
        };
        fields.extend(quote!(#[doc = #doc] pub #name: #kind,));
        loads.extend(quote!(#name: loader.#load(Library::#library_ident, #symbol),));
    }
    let tokens = quote! {
        use super::Loader;
        use super::bindings::*;
        use super::{Library, Missing};
        use core::ffi::{CStr, c_void};
        use core::ptr::NonNull;

        #[doc = " CANN's functions. Those that some versions do not have are optional."]
        #[derive(Clone, Copy)]
        pub struct Functions { #fields }

        impl Functions {
            #[doc = " Fills the table with what `find` finds."]
            #[doc = ""]
            #[doc = " # Errors"]
            #[doc = " If functions are missing that are not optional, with all of their names."]
            #[doc = ""]
            #[doc = " # Safety"]
            #[doc = " What `find` returns for a name must be CANN's function of that name, and must stay"]
            #[doc = " where it is as long as the table is used."]
            pub unsafe fn load(
                find: &mut dyn FnMut(Library, &'static CStr) -> Option<NonNull<c_void>>,
            ) -> Result<Self, Missing> {
                let mut loader = Loader::new(find);
                let functions = Self { #loads };
                loader.finish(functions)
            }
        }
    };
    let file = syn::parse2(tokens).expect("the table is Rust");
    format!(
        "// Made from include/acl.h by tests/bindings.rs.\n\n{}",
        prettyplease::unparse(&file)
    )
}

/// What bindings say, by name: the type of a function without its parameters' names, a type's layout,
/// a constant's type and value.
fn items(file: &syn::File) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for function in functions(file) {
        let kinds = function.sig.inputs.iter().map(|input| match input {
            syn::FnArg::Typed(typed) => typed.ty.clone(),
            syn::FnArg::Receiver(_) => unreachable!("C has no methods"),
        });
        let output = &function.sig.output;
        let text = quote!(fn(#(#kinds),*) #output).to_string();
        found.insert(function.sig.ident.to_string(), text);
    }
    for item in &file.items {
        let (name, text) = match item {
            Item::Const(item) => {
                let (kind, value) = (&item.ty, &item.expr);
                (item.ident.to_string(), quote!(#kind = #value).to_string())
            }
            Item::Type(item) => {
                let kind = &item.ty;
                (item.ident.to_string(), quote!(#kind).to_string())
            }
            Item::Struct(item) => {
                let fields = item.fields.iter().map(|f| {
                    let (name, kind) = (&f.ident, &f.ty);
                    quote!(#name: #kind)
                });
                (item.ident.to_string(), quote!({ #(#fields),* }).to_string())
            }
            Item::Union(item) => {
                let fields = item.fields.named.iter().map(|f| {
                    let (name, kind) = (&f.ident, &f.ty);
                    quote!(#name: #kind)
                });
                (item.ident.to_string(), quote!({ #(#fields),* }).to_string())
            }
            _ => continue,
        };
        if name != "_" {
            found.insert(name, text);
        }
    }
    // Handles have no layout of their own.
    found.retain(|_, text| !text.contains("_unused"));
    found
}

/// The folders of a toolkit that headers are found in.
fn toolkit_includes(home: &Path) -> Vec<PathBuf> {
    let mut folders = vec![];
    for place in ["include", "aarch64-linux/include", "x86_64-linux/include"] {
        folders.push(home.join(place));
    }
    folders.push(home.join("opp/built-in/op_impl/ai_core/tbe/op_api/include"));
    folders.retain(|folder| folder.exists());
    folders
}

/// The toolkit's headers that declare any of the operators.
fn operator_headers(includes: &[PathBuf], operators: &[String]) -> Vec<String> {
    let mut found = vec![];
    for folder in includes.iter().map(|include| include.join("aclnnop")) {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let declares = |name: &String| text.contains(&format!("{name}("));
            if operators.iter().any(declares) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
