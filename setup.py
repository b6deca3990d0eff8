"Turns settings.ini, the one source of metadata, into a package; data/ travels inside it as vggsr_nb.assets."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup

cfg = ConfigParser(delimiters=['='])
cfg.read(Path(__file__).with_name('settings.ini'), encoding='utf-8')
cfg = cfg['DEFAULT']

assets = [p.relative_to('data').as_posix() for p in sorted(Path('data').rglob('*')) if p.is_file()]

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
    author=cfg['author'], author_email=cfg['author_email'], license='Apache-2.0', url=cfg['git_url'],
    long_description=Path('README.md').read_text(encoding='utf-8') if Path('README.md').exists() else '',
    long_description_content_type='text/markdown', python_requires=f">={cfg['min_python']}",
    classifiers=[f'Programming Language :: Python :: {v}' for v in ('3.11', '3.12')]+['Intended Audience :: Education', 'Intended Audience :: Science/Research'],
    project_urls={'Source': cfg['git_url']},
    packages=['vggsr_nb', 'vggsr_nb.assets'], package_dir={'vggsr_nb.assets': 'data'},
    package_data={'vggsr_nb.assets': assets}, include_package_data=False,
    install_requires=cfg['requirements'].split(), extras_require={'dev': cfg['dev_requirements'].split()},
    entry_points={'console_scripts': [s.strip() for s in cfg['console_scripts'].splitlines()]}, zip_safe=False,
)
