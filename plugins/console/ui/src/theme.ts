import { createTheme, type MantineColorsTuple } from '@mantine/core'

// The blue-green of a magpie's wing.
const wing: MantineColorsTuple = [
  '#e6f7f9', '#d0ecf0', '#a3d9e1', '#72c4d1', '#4bb3c3', '#32a8ba', '#1b94a6', '#107a8a', '#0b616f', '#054854',
]

// From the page (7) to text (0); replaces Mantine's greys, which have no blue.
const dark: MantineColorsTuple = [
  '#d3dae2', '#aeb9c5', '#8795a5', '#5c6a79', '#3a4653', '#29333d', '#1b232b', '#12181e', '#0d1217', '#080b0e',
]

export const theme = createTheme({
  colors: { wing, dark },
  primaryColor: 'wing',
  primaryShade: { light: 7, dark: 7 },
  defaultRadius: 6,
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSizes: { xs: '11.5px', sm: '13px', md: '14px', lg: '16px', xl: '19px' },
  spacing: { xs: '6px', sm: '10px', md: '14px', lg: '18px', xl: '26px' },
})
