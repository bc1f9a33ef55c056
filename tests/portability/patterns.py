"""What random expressions are made of: `x` stands for the expression so far, `y` for another operand."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The patterns in a text."""
    return tuple(text.split())


# Elementwise functions; those that are smooth have derivatives.

SMOOTH = words(
    "np.exp({x}) np.exp(np.sin({x})) np.expm1({x}) np.exp2({x}) np.log(np.abs({x})) np.log1p({x}**2) "
    "np.log2(np.abs({x})) np.log10(np.abs({x})+1) np.sin({x}) np.cos({x}) np.tan({x}) np.arcsin(np.tanh({x})) "
    "np.arccos(np.sin({x})) np.arctan({x}) np.sinh({x}) np.cosh({x}) np.tanh({x}) np.arcsinh({x}) "
    "np.arccosh(np.abs({x})+1.5) np.arctanh(np.sin({x})) np.sqrt(np.abs({x})) np.cbrt({x}) np.square({x}) "
    "np.reciprocal({x}) np.negative({x}) np.abs({x}) np.sinc({x}) np.degrees({x}) np.deg2rad({x}) np.clip({x},-1,0.7) "
    "np.nan_to_num({x}) native.sigmoid({x}) native.softplus({x}) native.erf({x}) native.relu({x}) {x}**2 {x}**3 "
    "{x}**0.5 {x}**-1 np.abs({x})**1.7 2**{x} 1/({x}+3) -{x} 0.1*{x} {x}-0.3 {x}/3 np.where({x}>0,{x},0.1*{x}) "
    "pn.forward(pn.Gelu(),{x}) pn.forward(pn.Silu(),{x}) pn.forward(pn.Elu(),{x}) pn.forward(pn.LeakyRelu(),{x}) "
    "np.interp({x},[-1.0,0.0,2.0],[3.0,-1.0,0.7]) np.polyval([0.3,-1.0,0.7],{x})"
)
SMOOTH_PAIRS = words(
    "np.add({x},{y}) {x}-{y} {y}-{x} {x}*{y} {x}/{y} {y}/{x} np.maximum({x},{y}) np.minimum({y},{x}) np.hypot({x},{y}) "
    "np.arctan2({x},{y}) np.logaddexp({x},{y}) np.logaddexp2({x},{y}) np.power(np.abs({x}),{y}) np.abs({y})**{x} "
    "np.where({y}>0,{x},{y}) np.fmax({x},{y}) np.fmin({x},{y}) np.copysign({x},{y}) np.clip({x},{y},1) 0.5*({x}+{y}) "
    "np.choose(({x}>0).astype(np.int64),[{x},{y}])"
)
ROUGH_PAIRS = words(
    "np.fmod({x},{y}) np.remainder({x},{y}) np.floor_divide({x},{y}) {x}//{y} {y}%{x} divmod({x},{y}) "
    "np.divmod({y},{x}) {x}>{y} {x}<={y} {x}=={y} np.not_equal({x},{y}) np.heaviside({x},{y}) np.nextafter({x},{y}) "
    "np.isclose({x},{y}) np.logical_xor({x}>0,{y}>0) np.power({x},{y}) {x}**{y} np.greater({y},{x}) "
    "np.select([{x}>0.5,{x}<{y}],[{x},{y}],0.25) np.add.outer({x},{y}) np.multiply.outer({y},{x}) np.subtract({y},{x}) "
    "list(np.meshgrid({x},{y})) list(np.broadcast_arrays({x},{y})) np.array_equiv({x},{y}) np.append({x},{y}) "
    "np.isin({x},{y}) np.allclose({x},{y})"
)
OF_INTEGERS = words(
    "{x}+{y} {x}*{y} {x}%{y} {x}//{y} {x}&{y} {x}|{y} {x}^{y} np.gcd({x}|1,{y}) np.maximum({x},{y}) np.lcm({y},1+{x}) "
    "np.minimum({y},{x}) np.left_shift({x},1) np.right_shift({x},1) np.where({x}>{y},{x},{y}) abs({x}) {x}|1"
)

# Functions that change the shape, and end an expression.

ROUGH = words(
    "np.floor({x}) np.ceil({x}) np.trunc({x}) np.rint({x}) np.sign({x}) np.fabs({x}) "
    "np.isnan({x}) np.isfinite({x}) np.signbit({x}) {x}>0 {x}<=1 {x}==0 {x}//0.3 {x}%0.7 np.spacing({x}) "
    "np.positive({x}) {x}.astype(np.float32) {x}.astype(np.float64) {x}.astype(np.float16) np.nextafter({x},1) "
    "np.logical_not({x}) np.sort({x},axis=None) np.argsort({x},axis=None) np.unique({x}) np.modf({x}) np.frexp({x}) "
    "np.unique({x},return_inverse=True,return_counts=True) np.flatnonzero({x}>0) np.count_nonzero({x}) "
    "np.digitize({x},[-1.0,0.0,0.5]) np.ldexp({x},-3) np.array_equal({x},{x}) np.searchsorted([-1.0,0.1,2.0],{x}) "
    "np.linspace({x},1.0,5) np.full_like({x},0.1) np.heaviside({x},0.5) np.isclose({x},1.0) np.float_power({x},3) "
    "np.trapezoid({x}.ravel()) np.cumulative_sum({x}.ravel()) np.nancumsum({x}) np.ediff1d({x}) np.isin({x},[0.0,1.0])"
)
OF_VECTORS = words(
    "np.round({x},1) np.round({x},-1) np.nonzero({x}) np.unstack({x}) {x}[{x}>0] np.extract({x}>0,{x}) "
    "np.lexsort(({x}.ravel(),)) np.insert({x},0,0.3) np.resize({x},(3,2)) np.block([{x},{x}]) np.argwhere({x}>0) "
    "np.take_along_axis({x},np.argsort({x},axis=-1),axis=-1) np.delete({x},0,axis=0) np.tile({x},2) np.ptp({x}) "
    "np.array_split({x}.ravel(),2) np.gradient(np.append({x},[1.0,2.0,0.1])) np.argpartition({x}.ravel(),0) "
    "np.median({x}) np.linalg.norm({x}.ravel(),ord=np.inf) np.pad({x},1,mode='symmetric') np.trapezoid({x},dx=0.3) "
    "np.bincount(np.arange({x}.size)%3,{x}.ravel()) np.nanmean({x}) np.nanstd({x}) np.nanprod({x}) np.ptp({x})"
)

# Operands without dimensions.

SCALARS = words(
    "2 -3 0.3 -1.7 1e-3 0 np.float32(0.7) np.float64(0.1) np.float64(1e300) np.float16(0.3) np.int64(3) np.int32(-2) "
    "np.uint8(7) np.array(0.3) np.array(0.3,np.float32) np.bool_(True) True 1e39 1e-50 123456789"
)
INTEGER_SCALARS = words("2 0 True 100 np.int64(3) np.int32(-2) np.uint8(7) np.array(2) np.int8(100)")

# Functions along axes.

REDUCTIONS = words(
    "sum sum sum mean mean prod max min logsumexp norm softmax cumsum cumprod var std average method.sum method.mean"
)
ROUGH_REDUCTIONS = words(
    "argmax argmin sort argsort median ptp nansum nanmean nanmax nanvar any all count_nonzero amax diff "
    "add.reduce multiply.reduce maximum.reduce logaddexp.reduce add.accumulate maximum.accumulate nanprod"
)
IN_PLACE_OF_EACH = words("add.accumulate argsort cumprod cumsum maximum.accumulate sort")
NOT_OF_FLOATS = words("argmax argmin argsort any all count_nonzero")
MANY_AXES = words("all any max mean min nanmax nanmean nansum nanvar prod std sum var")

# Products, layers and losses.

EINSUMS = words(
    "ij,jk->ik ij,kj->ki ij,ij->i ij,ij-> ij,i->j ij,jk,kl->il ij,kl->il ii->i ij->j bij,bjk->bik ij,jk->k i,j->ij "
    "bij,bj->b abc,cd->abd ijk,jil->kl ij,ij,ij->ij ...i,...i->... ij,...j->...i ij,jk ji aij,ajk,akl->il"
)
LOSSES = words("mean_squared_error sum_squared_error mean_absolute_error huber softmax_cross_entropy")
