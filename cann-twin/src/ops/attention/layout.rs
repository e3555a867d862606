//! How attention's operands lie: the layouts BSND, BSH, BNSD and SBH, and sizes in one notation.

use crate::array::View;
use crate::nnop::{Access, Checked, INVALID, Refusal, Tensor};
use crate::rules::{self, describe};
use std::ffi::{CStr, c_char};

/// Order of the axes batch, sequence, heads and head size; in two of them the last two are one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Bsnd,
    Bsh,
    Bnsd,
    Sbh,
}

impl Layout {
    /// # Safety
    /// `text` is null or a C string.
    pub(super) unsafe fn parse(text: *const c_char, allowed: &[Self]) -> Checked<Self> {
        rules::not_null("inputLayout", text)?;
        // SAFETY: promised by the caller, and not null.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        allowed
            .iter()
            .find(|layout| layout.name() == text)
            .copied()
            .ok_or_else(|| {
                let names: Vec<_> = allowed.iter().map(|l| l.name()).collect();
                Refusal {
                    code: INVALID,
                    text: format!("inputLayout is {text:?}, must be {}", rules::one_of(&names)),
                }
            })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bsnd => "BSND",
            Self::Bsh => "BSH",
            Self::Bnsd => "BNSD",
            Self::Sbh => "SBH",
        }
    }

    /// Whether heads and head size are one axis.
    fn joined(self) -> bool {
        matches!(self, Self::Bsh | Self::Sbh)
    }

    /// Whether the heads of a token lie side by side.
    pub(super) fn tokens_first(self) -> bool {
        self != Self::Bnsd
    }

    /// `[B, N, L, K]` of a tensor with `heads` heads; where heads are an axis, they must be so many.
    pub(super) fn sizes(
        self,
        what: &str,
        t: &Tensor,
        heads: usize,
        heads_name: &str,
    ) -> Checked<[usize; 4]> {
        rules::rank(what, t, if self.joined() { 3..=3 } else { 4..=4 })?;
        let s = &t.shape;
        let (sizes, joined) = match self {
            Self::Bsnd => ([s[0], s[2], s[1], s[3]], false),
            Self::Bnsd => ([s[0], s[1], s[2], s[3]], false),
            Self::Bsh => ([s[0], heads, s[1], s[2] / heads], true),
            Self::Sbh => ([s[1], heads, s[0], s[2] / heads], true),
        };
        let fits = if joined {
            s[2].is_multiple_of(heads)
        } else {
            sizes[1] == heads
        };
        rules::require(fits, || {
            let must = if joined {
                "a last axis divisible by"
            } else {
                "as many heads as"
            };
            format!(
                "{what} is {}, must have {must} {heads_name}, {heads}",
                describe(t)
            )
        })?;
        rules::require(sizes.iter().all(|&n| n > 0), || {
            format!("{what} is {}, must not be empty", describe(t))
        })?;
        Ok(sizes)
    }

    /// A tensor as `[B, N, L, K]`.
    pub(super) fn view(self, t: &Tensor, access: &Access, head_size: usize) -> View {
        let view = View::of(t, access);
        match self {
            Self::Bsnd => view.permute(&[0, 2, 1, 3]),
            Self::Bnsd => view,
            Self::Bsh => view.split(2, head_size).permute(&[0, 2, 1, 3]),
            Self::Sbh => view.split(2, head_size).permute(&[1, 2, 0, 3]),
        }
    }
}
