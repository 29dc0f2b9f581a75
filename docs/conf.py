"""The site: ``python -m sphinx -W -b html docs docs/_build/html``."""
import os
import os.path as osp
import re
import sys

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

HERE = osp.dirname(osp.abspath(__file__))
ROOT = osp.dirname(HERE)
sys.path.insert(0, ROOT)

from caco_ext.version import __version__  # noqa: E402

project = 'caco_ext'
author = 'caco_ext authors'
release = __version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build', 'README.md']
html_theme = 'furo'
# Sphinx' own way asks a network for a script in every page.
html_math_renderer = 'mathml'
myst_enable_extensions = ['dollarmath', 'colon_fence']
myst_heading_anchors = 3
# Docstrings name types of other packages, which have their own sites.
autodoc_typehints = 'none'
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

METHODS = ('adco', 'caco', 'clsa', 'care')


def copy_method_pages():
    """Make the methods' READMEs pages of the site, with links that lead on.

    They are written for who looks into the folder of the configs; here they
    stand beside the other pages.
    """
    folder = osp.join(HERE, 'methods')
    os.makedirs(folder, exist_ok=True)
    for method in METHODS:
        source = osp.join(ROOT, 'configs', 'selfsup', method, 'README.md')
        with open(source, encoding='utf-8') as file:
            text = file.read()

        def follow(link):
            target = link[1]
            if re.match(r'[a-z]+:|#', target):
                return link[0]
            path, mark, anchor = target.partition('#')
            path = osp.normpath(osp.join(osp.dirname(source), path))
            other = re.fullmatch(r'.*/configs/selfsup/(\w+)/README\.md', path)
            if other and other[1] in METHODS:
                return f']({other[1]}.md{mark}{anchor})'
            return f']({osp.relpath(path, folder)}{mark}{anchor})'

        page = osp.join(folder, f'{method}.md')
        text = re.sub(r'\]\(([^)\s]+)\)', follow, text)
        if not osp.isfile(page) or open(page, encoding='utf-8').read() != text:
            with open(page, 'w', encoding='utf-8') as file:
                file.write(text)


def mathml(node, display):
    """Formula of a page as MathML, which browsers draw without a script."""
    # The converter does not know this one.
    tex = re.sub(r'\\arg(?![a-zA-Z])', r'\\operatorname{arg}', node.astext())
    drawn = convert(tex, display=display)
    for unknown in re.findall(r'>(\\[a-zA-Z]+)<', drawn):
        logging.getLogger('docs').warning(
            'latex2mathml does not know %s', unknown, location=node)
    return drawn


def visit_math(self, node):
    self.body.append(mathml(node, 'inline'))
    raise nodes.SkipNode


def visit_displaymath(self, node):
    # The theme lets it scroll where it is too wide; never up and down.
    self.body.append(
        self.starttag(
            node,
            'div',
            CLASS='math notranslate',
            STYLE='overflow-y: hidden; padding: 0.4em 0'))
    self.body.append(mathml(node, 'block') + '</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer('mathml', (visit_math, None),
                               (visit_displaymath, None))


copy_method_pages()
