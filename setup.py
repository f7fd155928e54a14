"""Which files an installation holds; everything else about the package is in pyproject.toml.

The example photos lie beside the package in the repository, and inside it once it is installed.
"""

from setuptools import find_packages, setup

EXAMPLES = {f"udp.examples.{name}": f"examples/{name}" for name in ("subject", "style", "person")}

setup(
    packages=[*find_packages(include=["udp", "udp.*"]), *EXAMPLES],
    package_dir=EXAMPLES,
    package_data={
        "udp": ["mini/*.md", "mini/universal.png", "mini/*weights/**/*", "reports/*.jinja"],
        **{name: ["*.png"] for name in EXAMPLES},
    },
)
