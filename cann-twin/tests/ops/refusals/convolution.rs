use super::*;

/// A convolution that is right, to be spoilt.
struct Convolution {
    x: Array,
    weight: Array,
    bias: Option<Array>,
    numbers: [Vec<i64>; 3],
    transposed: bool,
    groups: i64,
    out: Array,
}

impl Convolution {
    fn new() -> Self {
        Self {
            x: ncdhw(ACL_BF16, &[1, 4, 3, 5, 6]),
            weight: ncdhw(ACL_BF16, &[8, 4, 3, 3, 3]),
            bias: None,
            numbers: [vec![1, 1, 1], vec![1, 1, 1], vec![1, 1, 1]],
            transposed: false,
            groups: 1,
            out: ncdhw(ACL_BF16, &[1, 8, 3, 5, 6]),
        }
    }

    fn first(&self, w: *mut u64, e: *mut *mut aclOpExecutor) -> aclnnStatus {
        let [stride, padding, dilation] = self.numbers.each_ref().map(|n| ints(n));
        let bias = self.bias.as_ref().map_or(null(), |b| b.tensor.cast_const());
        // SAFETY: all pointers are alive.
        unsafe {
            (T.aclnnConvolutionGetWorkspaceSize)(
                self.x.tensor,
                self.weight.tensor,
                bias,
                stride,
                padding,
                dilation,
                self.transposed,
                null(),
                self.groups,
                self.out.tensor,
                1,
                w,
                e,
            )
        }
    }
}

#[test]
fn convolutions_are_refused_with_their_reason() {
    let spoilt = |text: &str, spoil: fn(&mut Convolution)| {
        let mut c = Convolution::new();
        spoil(&mut c);
        refused(INVALID, &format!("aclnnConvolution: {text}"), |w, e| {
            c.first(w, e)
        });
    };
    assert!(workspace(|w, e| Convolution::new().first(w, e)).is_ok());
    spoilt("input has format ND, must have NCDHW", |c| {
        c.x = of(ACL_BF16, &[1, 4, 3, 5, 6])
    });
    spoilt("weight has format ND, must have NCDHW", |c| {
        c.weight = of(ACL_BF16, &[8, 4, 3, 3, 3])
    });
    spoilt("input is bf16[4, 6], must have 3 to 5 axes", |c| {
        c.x = of(ACL_BF16, &[4, 6])
    });
    spoilt(
        "weight is f16[8, 4, 3, 3, 3], must have the type of input, bf16",
        |c| c.weight = ncdhw(ACL_FLOAT16, &[8, 4, 3, 3, 3]),
    );
    spoilt(
        "output is f32[1, 8, 3, 5, 6], must have the type of input, bf16",
        |c| c.out = ncdhw(ACL_FLOAT, &[1, 8, 3, 5, 6]),
    );
    spoilt(
        "output is bf16[1, 8, 3, 5, 5], must have shape [1, 8, 3, 5, 6]",
        |c| c.out = ncdhw(ACL_BF16, &[1, 8, 3, 5, 5]),
    );
    spoilt("bias is bf16[4], must have shape [8]", |c| {
        c.bias = Some(of(ACL_BF16, &[4]))
    });
    spoilt(
        "stride is [1, 64, 1], must be 3 numbers from 1 to 63, or to 1000000 for depth",
        |c| c.numbers[0][1] = 64,
    );
    spoilt(
        "stride is [1, 1], must be 3 numbers from 1 to 63, or to 1000000 for depth",
        |c| c.numbers[0] = vec![1, 1],
    );
    spoilt(
        "padding is [1, 1, 256], must be 3 numbers from 0 to 255, or to 1000000 for depth",
        |c| c.numbers[1][2] = 256,
    );
    spoilt(
        "dilation is [1, 0, 1], must be 3 numbers from 1 to 255, or to 1000000 for depth",
        |c| c.numbers[2][1] = 0,
    );
    spoilt("transposed is true, must be false in the twin", |c| {
        c.transposed = true
    });
    spoilt(
        "groups is 3, must be from 1 to 65535, divide the 8 output channels and be input channels by weight's: input bf16[1, 4, 3, 5, 6], weight bf16[8, 4, 3, 3, 3]",
        |c| c.groups = 3,
    );
    spoilt(
        "weight is bf16[8, 4, 9, 3, 3], must with its dilation fit into the padded input, bf16[1, 4, 3, 5, 6]",
        |c| {
            c.weight = ncdhw(ACL_BF16, &[8, 4, 9, 3, 3]);
        },
    );
    spoilt(
        "weight is bf16[8, 4, 1, 512, 1], must be up to 511 high and wide",
        |c| c.weight = ncdhw(ACL_BF16, &[8, 4, 1, 512, 1]),
    );
}
