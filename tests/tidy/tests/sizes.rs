//! How long things may be (house style 8). The lists of exceptions may only get shorter.

use syn::spanned::Spanned;
use syn::visit::Visit;
use tidy::{assert_none, files};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that are longer: each one big `match`, a table. File, function, lines today.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

struct Functions {
    found: Vec<(String, usize)>,
}

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block
            .span()
            .end()
            .line
            .saturating_sub(signature.span().start().line)
            + 1;
        self.found.push((signature.ident.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }
}

fn functions() -> Vec<(String, String, usize)> {
    let mut all = Vec::new();
    for file in files(&[".rs"]) {
        if file.path.contains("/tests/compile-fail/") {
            continue;
        }
        let parsed = syn::parse_file(&file.text).map_err(|error| format!("{}: {error}", file.path));
        let parsed = parsed.expect("every source file parses");
        let mut functions = Functions { found: Vec::new() };
        functions.visit_file(&parsed);
        all.extend(
            functions
                .found
                .into_iter()
                .map(|(name, lines)| (file.path.clone(), name, lines)),
        );
    }
    all
}

#[test]
fn files_are_short() {
    let long = files(&[".rs"]).into_iter().filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{} has {lines} lines", file.path))
    });
    assert_none(
        &format!("a file has more than {FILE_LINES_MAX} lines"),
        &long.collect::<Vec<_>>(),
    );
}

#[test]
fn functions_fit_a_screen() {
    let long = functions().into_iter().filter_map(|(path, name, lines)| {
        let known = LONG_FUNCTIONS
            .iter()
            .find(|(file, function, _)| *file == path && *function == name);
        let allowed = known.map_or(FUNCTION_LINES_MAX, |(_, _, lines)| *lines);
        (lines > allowed).then(|| format!("{path}: {name} has {lines} lines, allowed {allowed}"))
    });
    assert_none("a function is too long", &long.collect::<Vec<_>>());
}

#[test]
fn exceptions_are_still_needed() {
    let functions = functions();
    let stale = LONG_FUNCTIONS.iter().filter(|(path, name, lines)| {
        !functions
            .iter()
            .any(|(file, function, found)| file == path && function == name && found == lines)
    });
    assert_none(
        "an exception is longer than its function",
        &stale.map(|it| format!("{it:?}")).collect::<Vec<_>>(),
    );
}
