// Built by Vite and run by Node's own test runner: `npm test`.
import './api.test'
import './chart.test'
import './dashboards.test'
import './format.test'
import './live.test'
import './machine.test'
import './query.test'
import './sources.test'
