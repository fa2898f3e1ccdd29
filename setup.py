"""Builds fastnn._C: one Cython extension over a static C library.

Everything that metadata can say is in pyproject.toml. Here is what it cannot: each instruction set's kernels are a
library entry of their own, because setuptools knows compiler flags per entry and not per source.

Environment: FASTNN_OPENMP=0 builds without threads; FASTNN_SANITIZE=address,undefined instruments everything (make
asan); FASTNN_DEBUG=1 keeps assertions and debug information.
"""

from __future__ import annotations

import glob
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

X86_LEVELS = {
    "portable": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": [
        "-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512",
    ],
}  # fmt: skip
LEVELS = {
    "x86_64": X86_LEVELS,
    "AMD64": X86_LEVELS,
    "aarch64": {"portable": [], "neon": []},
    "arm64": {"portable": [], "neon": []},
}.get(platform.machine(), {"portable": []})

# Units of the avx512 level beside its kernels: products of bfloat16.
X86_UNITS = {
    "avx512_bf16": [*X86_LEVELS["avx512"], "-mavx512bf16"],
    "amx_bf16": [*X86_LEVELS["avx512"], "-mavx512bf16", "-mamx-tile", "-mamx-bf16"],
}
UNITS = X86_UNITS if LEVELS is X86_LEVELS else {}

DEBUG = os.environ.get("FASTNN_DEBUG") == "1"
SANITIZE = os.environ.get("FASTNN_SANITIZE", "")
OPENMP = os.environ.get("FASTNN_OPENMP", "1") != "0"

FLAGS = ["-std=gnu11", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=fast"]
# -g0 undoes the -g of Python's own flags, which triples the size of the wheel; function names stay for profilers.
FLAGS += ["-O1", "-g", "-UNDEBUG"] if DEBUG or SANITIZE else ["-O3", "-g0", "-DNDEBUG"]
LINK = []
if SANITIZE:
    FLAGS += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
    LINK += [f"-fsanitize={SANITIZE}"]
THREADS = ["-fopenmp"] if OPENMP else []

HEADERS = [p for kind in ("h", "def") for p in glob.glob(f"csrc/**/*.{kind}", recursive=True)]


def library(name: str, sources: list[str], flags: list[str]) -> tuple[str, dict[str, object]]:
    return name, {
        "sources": sources,
        "include_dirs": ["csrc"],
        "cflags": FLAGS + flags,
        "obj_deps": {"": HEADERS},
    }


CORE = ["csrc/alloc.c", "csrc/dispatch.c", "csrc/parallel.c", "csrc/ops/f32.c", "csrc/ops/f64.c"]
LIBRARIES = [library("fastnn_core", CORE, THREADS)] + [
    library(f"fastnn_{isa}", [f"csrc/isa/{isa}_f32.c", f"csrc/isa/{isa}_f64.c"], flags) for isa, flags in LEVELS.items()
]
LIBRARIES += [library(f"fastnn_{unit}", [f"csrc/isa/{unit}.c"], flags) for unit, flags in UNITS.items()]


def compiles(compiler: list[str], flags: list[str]) -> bool:
    """Whether the C compiler makes a program with these flags."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe.c")
        with open(source, "w") as file:
            file.write("#ifdef _OPENMP\n#include <omp.h>\n#endif\nint main(void) { return 0; }\n")
        command = [*compiler, *flags, source, "-o", os.path.join(folder, "probe")]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def require_toolchain(compiler: list[str]) -> None:
    """Ends the build with one line if the C compiler or OpenMP is missing."""
    if not compiles(compiler, []):
        sys.exit(f"fastnn: error: no working C compiler ({compiler[0]!r}); install gcc or clang, or set CC")
    if OPENMP and not compiles(compiler, ["-fopenmp"]):
        sys.exit(
            f"fastnn: error: {compiler[0]!r} has no OpenMP (-fopenmp); install it (libgomp or libomp), "
            "or set FASTNN_OPENMP=0 to build single-threaded"
        )


class BuildLibraries(build_clib):
    def build_libraries(self, libraries):  # type: ignore[no-untyped-def]
        compiler = list(getattr(self.compiler, "compiler", ["cc"]))
        require_toolchain(compiler)
        for name, description in libraries:
            # Older compilers do not know the newest instructions: those units stay empty.
            unit = name.removeprefix("fastnn_")
            if unit in UNITS and not compiles(compiler, UNITS[unit]):
                description["cflags"] = [flag for flag in description["cflags"] if flag not in UNITS[unit]]
        build = super().build_libraries
        # The units of an instruction set take a compiler ten seconds each; longest first.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda each: build([each]), reversed(libraries)))


class BuildExtension(build_ext):
    def run(self) -> None:
        # `build_ext --inplace` alone would link against libraries that nobody has built.
        self.run_command("build_clib")
        super().run()


extension = Extension(
    "fastnn._C",
    ["fastnn/_C.pyx"],
    include_dirs=["csrc", numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    extra_compile_args=FLAGS,
    extra_link_args=THREADS + LINK,
    depends=HEADERS + glob.glob("csrc/**/*.c", recursive=True) + glob.glob("fastnn/binding/*.pxi"),
)

setup(
    libraries=LIBRARIES,
    ext_modules=cythonize(
        [extension],
        compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True},
        build_dir="build/cython",
    ),
    cmdclass={"build_clib": BuildLibraries, "build_ext": BuildExtension},
)
